import type { AlarmMessages } from './alarms-en';

// Made once: to make it anew for each number of a list of hundreds is slow.
const format = new Intl.NumberFormat('zh-CN');
const number = (n: number): string => format.format(n);

export const alarmsZhCn: AlarmMessages = {
  title: '警情', one: '警情', lead: '需要有人判断的情况。级别高的在前，同级的先发生的在前。',
  states: { new: '新警情', acknowledged: '已接警', in_progress: '处置中', resolved: '已处置', false: '误报', closed: '已关闭' },
  levels: { 1: '特急', 2: '紧急', 3: '一般', 4: '较低' },
  reasons: { nothing: '未见异常', weather: '天气或光线', animal: '动物', test: '测试或施工', device_fault: '设备故障', authorised: '已获准人员' },
  filters: { open: '未结', new: '新警情', acknowledged: '已接警', in_progress: '处置中', snoozed: '已暂缓', settled: '已处置或误报', closed: '已关闭', all: '全部' },
  level: (n) => `${n} 级`,
  strip: {
    label: '未结警情', none: '没有未结警情', allTaken: (n) => `没有新警情，处置中 ${number(n)} 条`, more: (n) => `另有 ${number(n)} 条`, news: (n) => `新 ${number(n)}`, overdue: (n) => `超时 ${number(n)}`, failed: '无法加载警情', retry: '重试',
    hint: 'A 接警 · F 加 1-6 误报 · I 立案 · 回车 查看', changed: '首条警情刚刚变化，请再按一次。', nothing: '没有新警情。',
  },
  sound: { on: '声音已开：关闭', muted: '声音已关：打开', blocked: '声音未开：单击打开', silence: '消音' },
  keys: { group: '警情', strip: '转到警情条', list: '警情列表', incidents: '案（事）件列表', acknowledge: '接警（首条或选中的警情）', silence: '消音', next: '下一条警情', previous: '上一条警情', open: '查看：实时、前 10 秒、邻近摄像机', leave: '返回页面', filter: '转到筛选', refresh: '重新加载', choose: '选入批量', reason: (n) => `原因 ${n}` },
  verbs: { acknowledge: '接警', begin: '开始处置', resolve: '处置完毕', dismiss: '误报', reopen: '重新打开', close: '关闭', prioritise: '级别', own: '转交', take: '接手', snooze: '暂缓', wake: '取消暂缓', note: '备注', incident: '立案', settle: '确认' },
  did: { raise: '产生警情', counted: '计数', acknowledge: '接警', begin: '开始处置', resolve: '处置完毕', dismiss: '认定误报', reopen: '重新打开', close: '关闭', prioritise: '调整级别', own: '转交', snooze: '暂缓', wake: '取消暂缓', escalate: '超时升级', note: '备注', link: '立案', settle: '确认冲突' },
  done: { acknowledge: (s) => `已接警：${s}`, dismiss: (s) => `已认定误报：${s}`, resolve: (s) => `已处置：${s}`, other: (s) => `已完成：${s}` },
  why: { already_acknowledged: '已经接警', already_settled: '已经处置或认定误报', already_closed: '已经关闭', not_yet: '当前状态下还不能这样做', already_linked: '已经立案', unknown: '本节点没有此警情' },
  faster: (why, who) => (who === '' ? `${why}。` : `${why}（${who}）。`), asItIs: (state, owner) => `现在状态：${state}${owner === '' ? '' : `，责任人 ${owner}`}。`,
  columns: { level: '级别', what: '警情', where: '地点', state: '状态', owner: '责任人', count: '次数', at: '发生' },
  filter: { state: '状态', level: '级别', everyLevel: '全部级别', camera: '摄像机', cameraHint: '全部摄像机', owner: '责任人', everybody: '全部人员', mine: '我负责的', overdue: '仅超时', conflict: '仅有冲突', all: '显示全部' },
  counts: (open, news, overdue) => `未结 ${number(open)} 条，新警情 ${number(news)}，超时 ${number(overdue)}`,
  none: '没有未结警情', noneHint: '规则把事件变为警情，会自动出现在这里。', noMatch: '没有符合的警情', noMatchHint: '请放宽状态、级别、摄像机或责任人。', loadingMore: '正在加载…',
  times: (n) => `× ${number(n)}`, overdue: '超时', overdueFor: (s) => `已超时 ${s}`, dueIn: (s) => `应在 ${s}内接警`, snoozedUntil: (s) => `暂缓至 ${s}`, escalated: (n) => `已升级 ${number(n)} 次`, conflicts: (n) => `冲突 ${number(n)} 处`, ofIncident: (n) => `案件 ${n}`, noCamera: '无摄像机', at: (node) => `节点 ${node}`,
  bulk: { label: '已选警情', chosen: (n) => `已选 ${number(n)} 条`, all: '全选所示', none: '取消选择', pick: (s) => `选择 ${s}`, done: (n) => `${number(n)} 条已完成。`, refused: (n) => `${number(n)} 条因状态已变被拒绝。`, falseAll: '全部误报', ask: (verb, n) => `${verb}：${number(n)} 条警情` },
  page: {
    live: '实时', before: '前 10 秒', neighbours: '最近的摄像机', noNeighbours: '附近没有其他摄像机：请为摄像机填写坐标，或归入同一监控点。', noCamera: '此警情不属于摄像机', noCameraHint: '如属于监控点，下方为该监控点的摄像机。', toPlay: '完整录像', toWall: '上视频墙',
    facts: '详情', history: '处置记录', rule: '规则', kind: '类别', where: '地点', camera: '摄像机', site: '监控点', node: '节点', first: '首次事件', last: '最近事件', count: '事件次数', raised: '产生', due: '时限', owner: '责任人', nobody: '无', state: '状态', since: '自', outcome: '结果', text: '说明', incident: '案（事）件', event: '事件', openEvent: '查看逐条记录',
    hold: '录像', held: (from, to, until) => `已保全 ${from} 至 ${to}${until === '' ? '' : `，保留到 ${until}`}`, notHeld: '未保全：规则未要求', heldBy: (node) => `于节点 ${node}`, holdAsked: (node) => `正在查询节点 ${node}`, holdUnknown: (node) => `未知：节点 ${node} 没有应答；该节点会自行保全`, holdRefused: '未知：本服务器未能查询；该节点会自行保全', holdWaits: (days) => `将保全 ${number(days)} 天`,
    gone: '没有此警情', goneHint: '它可能属于其他节点，或地址有误。', noId: '没有选择警情', toList: '返回警情列表', replay: '从前 10 秒播放', metres: (s) => `相距 ${s}`, sameSite: '同一监控点',
    acknowledgedBy: '接警', settledBy: '处置', closedBy: '关闭', by: (who, at) => `${who}，${at}`,
  },
  form: {
    cancel: '取消', send: '确定', result: '处置结果', resultHint: '写入记录和报表。', reason: '原因', own: '其他原因', falseTitle: '误报原因', falseHint: '按 1 至 6 选择', needs: '请填写原因。', note: '备注', noteNeeds: '请填写内容。', level: '新级别', levelReason: '原因（可不填）', owner: '转交给', ownerHint: '本系统用户，或其他姓名。', ownerNeeds: '请填写转交给谁。', words: '留言（可不填）',
    snooze: '再次出现', snoozeUsual: '稍后再看', snoozeFor: { 15: '15 分钟后', 60: '1 小时后', 240: '4 小时后' }, until: '时间', untilHint: '最长 12 小时', untilBad: '请填写 12 小时以内的时间，例如 1430、+30m。', kept: '您填写的内容仍在。',
  },
  conflict: {
    title: '冲突', lead: '两个节点在互不知情时各自操作。没有内容丢失：请查看以哪一个为准，然后确认。', void: '未生效', voidHint: '操作时可行，但在他人同时所做的操作之后已不可行。', overrules: (what) => `${what}有两个决定`, overrulesHint: '双方互不知情，以后一个为准。', stands: '生效', overruled: '被取代', settle: '确认：保持现状', settled: '已确认', note: '说明（可不填）',
    what: { state: '状态', outcome: '结果', owner: '责任人', level: '级别', snooze: '暂缓', incident: '案件' },
  },
  acts: { none: '还没有任何操作。', system: '系统', token: (s) => `设备 ${s}`, unit: (s) => `巡防 ${s}`, at: (node) => `节点 ${node}`, more: (n) => `更早的操作 ${number(n)} 条`, toLevel: (n) => `为 ${n} 级`, toOwner: (s) => `给 ${s}`, until: (s) => `至 ${s}` },
  duty: { title: '值班', open: '未结警情', news: (n) => `新警情 ${number(n)}`, overdue: '超时警情', of: '未按时接警', incidents: '在办案（事）件', opened: (n) => `未开始 ${number(n)}`, conflicts: (n) => `冲突 ${number(n)} 处待确认`, notices: '已跳过的步骤', skipped: (who, step, why) => `${who} 跳过“${step}”：${why}`, seen: '已阅' },
};
