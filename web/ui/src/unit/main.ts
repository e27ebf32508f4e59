import '../styles/tokens.css';
import './unit.css';
import { mount } from 'svelte';
import Unit from './Unit.svelte';

const target = document.getElementById('unit');
if (target) mount(Unit, { target });
