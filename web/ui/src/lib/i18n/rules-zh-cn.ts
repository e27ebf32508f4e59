import type { RulesMessages } from './rules-en';

const number = (n: number): string => n.toLocaleString('zh-CN');

/** 规则页的文字，随该页加载。 */
export const rulesZhCn: RulesMessages = {
  title: '规则', lead: '规则把事件变成警情。同一规则的同一起因在未办结时只是一条警情，并累计次数。', make: '新建规则', refresh: '重新加载', working: '处理中……',
  none: '没有规则', noneHint: '没有规则就不会产生警情。可先从设备报警开始，或用最近几天的事件试算。',
  behind: (n) => `还有 ${number(n)} 条记录未研判`, crowded: (n) => `起因过多，${number(n)} 个事件合并计入警情`,
  columns: { state: '状态', name: '规则', looks: '条件', where: '范围', level: '级别', did: '近 7 天', made: '修改' },
  firstStart: '首次启动', on: '启用', off: '停用', level: (n) => `${n} 级`, alarms: (n, wrong) => (n === 0 ? '无警情' : wrong === 0 ? `${number(n)} 条警情` : `${number(n)} 条警情，其中误报 ${number(wrong)}`), open: (n) => `${number(n)} 条未办结`,
  conflict: '两处同时改过：以较晚者为准', origin: '在各节点研判', here: '在中心统一研判',
  everywhere: '不限', cameras: (n) => `${number(n)} 个摄像机`, places: (n) => `${number(n)} 个地点`, everyKind: '所有类型', always: '全天', hoursOf: (n) => `${number(n)} 段时间`,
  when: { each: '每个事件', threshold: '数值越限', repetition: '一段时间内多次', absence: '一段时间内没有事件', lasting: '持续过久' },
  fault: { name: '请填写 1 至 64 个字符的名称，不含 < 和 >。', fact: '请填写事件数据中的名称。', limits: '请填写下限或上限的数值，下限不高于上限。', times: '请填写 2 至 1000。', span: '请填写 1 至 604800 秒（一周）。', hours: '时间请写成 22:00。', due: '请填写 0 至 604800 秒。', holdOff: '请填写 0 至 604800 秒。', holdDays: '请填写 0 至 365 天。', chosen: '请选择摄像机或地点，或选择合并计算。' },
  atLeast: (p) => `${p}及以上`,
  says: { each: '逐个', threshold: (fact, min, max) => [fact, min === '' ? '' : `≥ ${min}`, max === '' ? '' : `≤ ${max}`].filter(Boolean).join(' '), repetition: (n, s, together) => `${s}内 ${number(n)} 次${together ? '，合并计算' : ''}`, absence: (s, together) => `${s}内没有${together ? '，合并计算' : ''}`, lasting: (s) => `持续 ${s}` },
  edit: '修改', editOf: (name) => `修改 ${name}`, remove: '删除', removeAsk: (name) => `删除 ${name}？`, removeEffect: '此后不再产生警情，已有的警情保留。', removed: (name) => `已删除 ${name}。`, saved: (name) => `已保存 ${name}。`, tryAll: '全部试算', tryOut: '试算', tryHide: '收起试算',
  form: {
    new: '新建规则', name: '名称', nameHint: '随它的每条警情显示。', enabled: '启用', kinds: '事件类型', kindsHint: '不选即所有类型。', priority: '最低优先级', any: '不限', where: '摄像机和地点', whereHint: '不选即不限，也含不属于摄像机的事件。地点代表其下所有摄像机。',
    trigger: '产生警情的条件', fact: '数据名称', factHint: '事件数据中的名称，例如 temperature。', min: '不小于', max: '不大于', times: '次数', within: '时间内（秒）', for: '时长（秒）', together: '所有摄像机合并计算',
    hours: '时段', hoursHint: '不填即全天。结束早于开始即到次日。', addHours: '添加时段', removeHours: '去掉这一时段', from: '从', to: '到', days: ['一', '二', '三', '四', '五', '六', '日'], everyDay: '不选星期即每天。',
    level: '级别', levels: ['1 级：最紧急', '2 级：紧急', '3 级：一般', '4 级：可缓'], due: '接警时限（秒）', dueHint: '0 即不计超时', holdOff: '办结后静默（秒）', holdOffHint: '其间同一起因不再产生新警情。', holdDays: '录像保全（天）', holdDaysHint: '0 即不保全', judged: '研判位置', save: '保存', saveDespite: '仍然保存',
    warned: '保存前请看', refused: '不能保存', nothing: '尚未保存。请修改，或仍然保存。', taken: '此规则刚被他人修改。请关闭后重新加载。',
  },
  warning: {
    never_places: '所选摄像机和地点在本节点都没有配置，永远不会触发。', never_kinds: '所选类型本节点都不认识，永远不会触发。', unknown_kinds: '有的类型本节点不认识。', unknown_cameras: '有的摄像机在本节点没有配置。', unknown_area: '有的地点在本节点没有摄像机。',
    never_cameras: '所选类型的事件不属于摄像机，而规则只看摄像机，永远不会触发。', never_priority: '所选类型的事件不会有这样的优先级，永远不会触发。', never_hours: '没有生效的时段，永远不会触发。', always_each: '每一个事件都会产生警情。',
    never_lasting: '所选类型的事件不会持续，永远不会触发。', never_absence: '时段短于等待的时长，永远不会触发。', twice: '另有规则条件相同，同一起因会产生两条警情。', same_name: '另有同名规则。', off: '停用期间不起作用。', always_many: '按最近一天的事件，会产生过多警情。',
  },
  trial: {
    title: '试算', lead: '用已记录的事件推算会产生哪些警情。十分钟没有新事件的警情视为已办结。', from: '从', to: '到', run: '试算', running: '试算中……', sum: (alarms, events) => `${number(events)} 个事件，${number(alarms)} 条警情`, none: '不会触发', noneHint: '可延长时间，或放宽条件。', more: (n) => `另有 ${number(n)} 条`, times: (n) => `× ${number(n)}`, events: '当时的事件', columns: { first: '首次', what: '内容', camera: '摄像机', count: '次数', rule: '规则' }, backward: '结束必须晚于开始。', bad: '这不是时间。', absence: '没有事件',
  },
};
