import type { IncidentMessages } from './incidents-en';

// Made once: to make it anew for each number of a list of hundreds is slow.
const format = new Intl.NumberFormat('zh-CN');
const number = (n: number): string => format.format(n);

export const incidentsZhCn: IncidentMessages = {
  title: '案（事）件', one: '案（事）件', lead: '正在处置的情况，最新的在前。',
  states: { open: '待处置', handling: '处置中', resolved: '已处置', closed: '已办结', cancelled: '已撤销' },
  filters: { active: '在办', open: '待处置', handling: '处置中', resolved: '已处置', closed: '已办结', cancelled: '已撤销', all: '全部' },
  channels: { alarm: '警情', desk: '值班台', township_centre: '乡镇综治中心', grid_helper: '网格员', telephone: '电话', other_system: '其他系统' },
  progress: { sent: '已派警', received: '已接收', arrived: '已到达', done: '已完成', declined: '不能前往', recalled: '已召回' },
  nets: { street: '街面巡防', community: '社区（农村）防控', internal: '内部防范', checkpoint: '卡点堵截' },
  stepStates: { done: '已完成', skipped: '已跳过', next: '下一步', later: '未到', passed: '无需执行' },
  faults: { kind: '请填写类别。', title: '请简要写明情况。', long: '超过 200 个字符。', place: '请写明地点：监控点、地址或坐标。', code: '请选择监控点或摄像机，不能选区域。', point: '请填写纬度和经度，例如 28.9701, 118.8596。' },
  columns: { number: '编号', level: '级别', title: '情况', place: '地点', state: '状态', people: '负责人', steps: '步骤', units: '力量', opened: '立案' },
  filter: { state: '状态', kind: '类别', everyKind: '全部类别', person: '负责人', everybody: '全部人员', mine: '我负责的', all: '显示全部' },
  counts: (active, open) => `在办 ${number(active)} 件，待处置 ${number(open)}`,
  none: '没有在办案（事）件', noneHint: '可由警情立案，或按 N 手工登记。', noMatch: '没有符合的案（事）件', noMatchHint: '请放宽状态、类别或负责人。', loadingMore: '正在加载…',
  stepsOf: (done, all) => (all === 0 ? '' : `${number(done)} / ${number(all)}`), skipped: (n) => `跳过 ${number(n)}`, unitsOf: (open, all) => (all === 0 ? '' : open === 0 ? `${number(all)} 已结束` : `${number(open)} 在途`), conflicts: (n) => `冲突 ${number(n)} 处`, at: (node) => `节点 ${node}`,
  make: '登记案（事）件',
  form: { kind: '类别', kindHint: '由本市自定，预案按类别绑定。', title: '情况', text: '详细说明', level: '级别', channel: '来源', reference: '对方编号', referenceHint: '可不填。', where: '地点', site: '监控点或摄像机', siteHint: '名称、编码或拼音首字母。', address: '地址', point: '坐标', pointHint: '纬度、经度，单位度，WGS-84。', submit: '登记', working: '正在处理…', save: '保存', cancel: '取消', needs: '请填写原因。', needsText: '请填写内容。', kept: '您填写的内容仍在。' },
  keys: { next: '下一件', previous: '上一件', open: '打开', make: '登记案（事）件', refresh: '重新加载', filter: '转到筛选' },
  verbs: { edit: '修改', assign: '负责人', resolve: '处置完毕', reopen: '重新打开', close: '办结', cancel: '撤销：并无此事', note: '备注', dispatch: '派警', step: '步骤完成', skip: '跳过' },
  did: {
    open: '立案', assign: '指定负责人', edit: '修改详情', add_alarm: '加入警情', add_camera: '关联摄像机', add_clip: '加入录像片段', note: '备注', attach: '上传材料', share: '共享给节点', use_plan: '启用预案', step_done: '完成步骤', step_skipped: '跳过步骤', dispatch: '派警', progressed: '反馈', resolve: '处置完毕', reopen: '重新打开', close: '办结', cancel: '撤销', settle: '确认冲突',
    to_sent: '已派警', to_received: '已接收', to_arrived: '已到达', to_done: '已完成', to_declined: '不能前往', to_recalled: '已召回',
  },
  why: { already_over: '已经结束', already_closed: '已经办结', already_cancelled: '已经撤销', already_resolved: '已经处置完毕', not_yet: '当前状态下还不能这样做', steps_left: '预案还有步骤未完成', units_under_way: '还有力量在途', not_next: '下一步不是这一步', already_taken: '此步骤已有人完成', already_sent: '该力量已在途', backward: '该力量已在更后的阶段', unknown: '本节点没有此案（事）件', plan_begun: '另一预案的步骤已执行' },
  refusedNow: (state) => `现在状态：${state}。`,
  page: {
    gone: '没有此案（事）件', goneHint: '它可能属于其他节点，或地址有误。', noId: '没有选择案（事）件', toList: '返回案（事）件列表', facts: '详情', kind: '类别', where: '地点', channel: '来源', reference: '对方编号', opened: '立案', by: (who, at) => `${who}，${at}`, people: '负责人', nobody: '无', result: '结果', over: '结束', text: '说明', state: '状态', since: '自', node: '节点', history: '处置记录', point: (lat, lon) => `${lat.toFixed(5)}, ${lon.toFixed(5)}`,
    peopleHint: '每行一个姓名，或用逗号分隔。', takeOver: '由我负责', resolveHint: '步骤须全部完成，力量须全部结束。', resolve: '处置结果', reason: '原因',
  },
  plan: { title: '预案', none: '没有启用预案', noneHint: '请选择绑定此类别的预案。', offered: '选择预案', nothing: '此类别没有预案。预案在“预案”页面编制。', use: '启用', done: '完成', skip: '跳过', skipWhy: '为何跳过？将告知带班领导。', answer: '答案', note: '说明（可不填）', through: '预案已全部执行。', skipped: (why) => `跳过：${why}`, answered: (s) => `答案：${s}`, by: (who, at) => `${who}，${at}`, next: '下一步', later: (n) => `其后还有 ${number(n)} 步` },
  dispatch: { title: '派警', none: '还没有派出力量。', send: '派警', nearest: '最近的在前', sendTo: (s) => `派出 ${s}`, order: '任务（可不填）', busy: '在其他案件途中', offDuty: '未当班', here: '已在途', metres: (s) => `相距 ${s}`, noPlace: '位置未知', noUnits: '没有巡防力量。请在“巡防力量”页面建立。', contact: '联系方式', result: '结果或原因', resultNeeds: '请填写结果。', link: '手机链接', other: '其他力量', to: { sent: '已派警', received: '已接收', arrived: '已到达', done: '已完成', declined: '不能前往', recalled: '召回' }, sentBy: (who) => `${who} 派出` },
  cameras: { title: '摄像机', none: '没有关联摄像机。', add: '关联摄像机', addHint: '名称、编码或拼音首字母。', live: '实时画面', hide: '收起', footage: '录像', clip: '存为片段', clips: '录像片段', noClips: '没有录像片段。', clipFrom: '开始', clipTo: '结束', clipNote: '画面内容', clipAdd: '加入片段', clipBad: '结束须晚于开始，例如 1430、-10m。', alarms: '警情', noAlarms: '不是由警情立案。' },
  papers: { notes: '备注', noNotes: '没有备注。', note: '添加备注', files: '材料', noFiles: '没有材料。', attach: '上传材料', types: 'JPEG、PNG、WebP、PDF、MP4 或纯文本，最大 16 MiB。', tooLarge: (s) => `${s} 超过 16 MiB，请先裁剪或压缩。`, empty: (s) => `${s} 是空文件。`, sending: (s, share) => `${s}：${share}`, download: '下载', stop: '停止', unsupported: (s) => `${s} 不是可接受的类型；以文件内容为准，而非文件名。` },
};
