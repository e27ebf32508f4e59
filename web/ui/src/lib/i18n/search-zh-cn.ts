import type { SearchMessages } from './search-en';

const number = (n: number): string => n.toLocaleString('zh-CN');

export const searchZhCn: SearchMessages = {
  title: '检索', lead: '按地点和时间检索本服务器及其下全部节点的事件和录像。没有应答的节点逐一列出。',
  what: { events: '事件', cameras: '摄像机与录像' }, whatLabel: '检索内容',
  place: '地点', placeHint: '分中心、派出所、监控点或摄像机的名称或编码', from: '开始时间', to: '结束时间', fromHint: '留空：结束时间前一天', toHint: '留空：现在',
  quick: '时间', quicks: { hour: '最近 1 小时', today: '今天', day: '24 小时', week: '7 天', month: '30 天' },
  kinds: (n) => (n === 0 ? '类别：全部类别' : `类别：已选 ${number(n)} 类`), priority: '级别', everyPriority: '全部级别',
  footage: '录像', footages: { '': '不限', any: '有录像', gaps: '有缺失', none: '无录像' }, node: '节点', everyNode: '全部节点',
  submit: '检索', searching: (nodes) => (nodes > 1 ? `正在询问 ${number(nodes)} 个节点…` : '正在检索…'), clear: '清除',
  faults: { bad: '无法识别的时间。可填写 14:30、11-23 14:30 或 -2h。', order: '结束时间早于开始时间。', long: '最多 32 天，请分段检索。', place: '最多 128 个字符。' },
  begin: '要找什么？', beginHint: '请选择地点和时间后检索。留空则为各处最近 24 小时。',
  none: '没有找到', noneHint: '请放宽地点、时间或类别。', noneMissing: '已应答的节点中没有找到',
  found: (hits, more, nodes, ms) => `在 ${number(nodes)} 个节点中找到 ${number(hits)}${more ? '+' : ''} 条，用时 ${number(ms)} 毫秒`, more: '更多', loadingMore: '正在加载…', looking: '后面还有未检索的内容。',
  missing: (n) => `本次结果缺少 ${number(n)} 个节点`, missingHint: '这些节点的内容不在列表中，其录像照常进行。', since: (s) => `最近消息 ${s}前`, never: '本服务器启动以来没有消息', nodesLink: '节点与链路',
  limited: (node, from) => `${node}：${from} 之前的事件只在其日志中，未检索。`,
  why: {
    gone: '失联', no_answer: '未按时应答', link: '无法到达：本服务器与消息服务器的连接中断', refused: '拒绝了请求，可能版本较旧', unreadable: '应答无法识别', too_large: '应答过大',
    foreign_camera: '应答涉及其他节点的摄像机，相关结果已剔除', disorder: '应答次序有误，已剔除', before: '在前面的页中缺失，请重新检索', no_time: '时间不足，未询问', other: '应答不完整',
  },
  columns: { what: '内容', priority: '级别', where: '地点', began: '开始', last: '最近', footage: '当时录像', camera: '摄像机', node: '节点', stored: '已存录像', gaps: '缺失', open: '' },
  lasts: '未结束', copied: '来自中心副本', copiedHint: '该节点没有应答。这是它此前上报中心的内容，其录像情况不明。', noCamera: '不属于摄像机', unknown: '不明',
  around: { all: '有', part: (share) => `部分（${share}）`, none: '无' }, gaps: (n, length) => `${number(n)} 段，共 ${length}`, noGaps: '无', noFootage: '无录像', metres: (n) => `相距 ${number(n)} 米`,
  play: '录像', playHint: '从 10 秒前开始调阅', event: '事件', playOf: (what) => `录像：${what}`, eventOf: (what) => `事件：${what}`, hit: (what) => `结果：${what}`,
  keys: { next: '下一条', previous: '上一条', play: '调阅录像', event: '查看事件', place: '转到地点', again: '重新检索' },
};
