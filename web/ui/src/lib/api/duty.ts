import { queryOf } from '../storage/figures';
import type { AlarmDetail, AlarmHeld, AlarmPage, AlarmVerb, AlarmView, Attachment, IncidentDetail, IncidentPage, IncidentRow, IncidentVerb, Notice, OpenIncident } from '../duty/types';
import { pathOf } from '../duty/types';
import type { Api } from './client';
import { upload } from './upload';

/** Alarms and incidents of the API, by name. Ids are whole: `alarm/kecheng/3f2a…`. */

type Query = Record<string, string | number | undefined>;

export const listAlarms = (api: Api, query: Query, signal?: AbortSignal): Promise<AlarmPage> => api.get(`/alarms${queryOf(query)}`, signal);
export const getAlarm = (api: Api, id: string): Promise<AlarmDetail> => api.get(`/alarms/${pathOf(id)}`);
export const getHeld = (api: Api, id: string): Promise<AlarmHeld> => api.get(`/alarms/${pathOf(id)}/hold`);
export const actOnAlarm = (api: Api, id: string, act: AlarmVerb): Promise<{ alarm: AlarmView; act: string }> => api.post(`/alarms/${pathOf(id)}/acts`, act);

export interface BulkAnswer {
  done: number;
  refused: { alarm: string; code: string; detail: string }[];
}
/** At most so many at once. */
export const BULK_MAX = 500;
export const actOnAlarms = (api: Api, alarms: string[], act: AlarmVerb): Promise<BulkAnswer> => api.post('/alarms/acts', { alarms, act });

export const listIncidents = (api: Api, query: Query, signal?: AbortSignal): Promise<IncidentPage> => api.get(`/incidents${queryOf(query)}`, signal);
export const getIncident = (api: Api, id: string): Promise<IncidentDetail> => api.get(`/incidents/${pathOf(id)}`);
/** `key` makes the same request sent again do nothing twice. */
export const openIncident = (api: Api, body: OpenIncident, key: string): Promise<{ incident: IncidentRow; warnings?: string[] }> => api.post('/incidents', body, key);
export const actOnIncident = (api: Api, id: string, act: IncidentVerb): Promise<{ incident: IncidentRow; act: string; warning?: string | null }> => api.post(`/incidents/${pathOf(id)}/acts`, act);

export const attachmentUrl = (api: Api, id: string, hash: string): string => `${api.base}/incidents/${pathOf(id)}/attachments/${encodeURIComponent(hash)}`;
export const attach = (api: Api, id: string, file: File, onProgress: (share: number) => void, signal?: AbortSignal): Promise<{ attachment?: Attachment }> =>
  upload(`${api.base}/incidents/${pathOf(id)}/attachments?name=${encodeURIComponent(file.name)}`, file, onProgress, signal);

export interface Person {
  name: string;
  roles: string[];
}
export const listPeople = async (api: Api): Promise<Person[]> => (await api.get<{ items: Person[] }>('/people')).items;

/** A key for a request that must not be done twice; the page may be without TLS, where `randomUUID` is not. */
export const requestKey = (): string => crypto.getRandomValues(new Uint32Array(4)).join('-');

export const listNotices = async (api: Api): Promise<Notice[]> => (await api.get<{ items: Notice[] }>('/duty/notices')).items;
export const seeNotice = async (api: Api, id: string): Promise<Notice[]> => (await api.post<{ items: Notice[] }>(`/duty/notices/${encodeURIComponent(id)}/seen`)).items;
