import type { ReportsMessages } from './reports-en';

const number = (n: number): string => n.toLocaleString('zh-CN');

export const reportsZhCn: ReportsMessages = {
  title: '报表', lead: '警情和案（事）件的处置用时、处置率、超时和误报。用时为中位数和第 95 百分位数，n 为统计数量。',
  range: '时间范围', ranges: { today: '今天', week: '近 7 天', month: '本月', own: '自定义' },
  from: '开始日期', to: '结束日期', by: '分组',
  groupings: { area: '按分中心', station: '按派出所', site: '按监控点', day: '按日', rule: '按规则', camera: '按摄像机', node: '按节点' },
  keyOf: { area: '分中心', station: '派出所', site: '监控点', day: '日期', rule: '规则', camera: '摄像机', node: '节点' },
  faults: { from: '请选择开始日期。', to: '请选择结束日期。', order: '结束日期早于开始日期。', long: '最多 400 天，请缩短范围。' },
  refresh: '重新统计', csv: 'CSV', csvHint: '供电子表格使用', print: '打印',
  none: '此范围内没有内容', noneHint: '没有警情，也没有案（事）件。请选择其他范围。',
  noRows: '没有可分组的内容：此范围内没有警情。', unnamed: '无', total: '合计',
  made: (at, by, node) => `${by} 于 ${at} 在 ${node} 生成`, span: (from, to) => `${from} 至 ${to}`,
  part: (since) => `自 ${since} 起完整。更早的内容只在日志中：`,
  alarmsTitle: '警情', incidentsTitle: '案（事）件', incidentsNotHere: '案（事）件不属于单一规则或摄像机，仅计入合计。',
  alarms: '警情', acknowledge: '接警用时', settle: '判定用时', close: '结案用时', disposed: '处置率', overdue: '超时', foundFalse: '误报', escalations: '升级',
  incidents: '案（事）件', arrive: '到场用时', incidentClose: '办结用时', incidentsDisposed: '办结率', cancelled: '撤销', dispatches: '派出力量', skipped: '跳过步骤',
  hints: {
    acknowledge: '从产生到接警', close: '从产生到结案', arrive: '从立案到首个力量到场', incidentClose: '从立案到办结',
    disposed: '已结案占全部', overdue: '有时限的警情中未按时接警的', foundFalse: '已判定警情中判为误报的', skipped: '说明理由后跳过的预案步骤',
  },
  median: '中位数', p95: '第 95 百分位', n: (n) => `n ${number(n)}`, of: (part, of) => `${number(part)} / ${number(of)}`,
  shift: {
    title: '交接班', none: '尚无交接班记录', noneHint: '首次交班后，交班说明显示在这里。', from: (from, to) => `${from} 交 ${to}`,
    handOver: '交班', handOverAsk: '交班', to: '接班人', toHint: '请选择账号', note: '交班说明', noteHint: '接班人需要了解的情况', openNow: '当前未结', openThen: '交班时未结',
    takeOver: '接班', takeOverAsk: (from) => `接 ${from} 的班`, words: '说明（可不填）', taken: (by, at) => `${by} 已于 ${at} 接班`, waiting: (to) => `等待 ${to} 接班`,
    handed: (to) => `已交班给 ${to}`, took: '已接班', working: '正在处理…', nobody: '没有其他可处置警情的账号。', noNote: '请填写交班说明，可写“无特殊情况”。', noTo: '请选择接班人。',
    signed: '说明和数字由本服务器密钥签名，并保存在日志中。',
    signature: { good: '签名有效', other_key: '由其他密钥签名', bad: '签名无效：内容被改动' },
    open: { new: '新警情', acknowledged: '已接警', in_progress: '处置中', incidents: '案（事）件', units: '在途力量' },
  },
};
