import type { NodesMessages } from './nodes-en';

const number = (n: number): string => n.toLocaleString('zh-CN');

export const nodesZhCn: NodesMessages = {
  title: '节点与链路',
  roles: { alone: '本节点独立运行', sub_centre: '本节点为分中心', county: '本节点为县级：上有中心，下有节点', centre: '本节点为中心' },
  lead: '各分中心独立录像、独立工作。那里发生的事按顺序上报到此，每条一次；链路中断期间的，恢复后补报。',
  refresh: '重新加载', notStarted: '节点间链路未能启动，本节点独立运行。请消除原因后重新启动。',
  alone: {
    title: '本节点独立运行', lead: '录像、查看和保存全部由本节点完成，不依赖其他节点。中心把多个节点连在一起：事件汇集到中心，一张表看清各节点是否在线。',
    centre: '将本节点设为中心',
    centreSteps: ['在 fengsui.toml 中写入下列内容，public_names 为其他节点访问本机所用的名称或地址：', '重新启动本节点，消息服务器的设置会写入数据目录。', '在本机以同一用户运行消息服务器：', '再次打开本页面，逐个邀请节点，每个节点一个令牌。'],
    sub: '将本节点接入中心',
    subSteps: ['请中心管理员在中心邀请本节点，令牌仅显示一次。', '在本节点运行下列命令，按提示输入令牌：', '在 fengsui.toml 中写入中心地址：', '重新启动本节点，本页面即显示链路。'],
    docs: '详见 web/relay 中的 LINK.md 和 OPERATE.md。',
  },
  uplink: {
    title: '到中心的链路', state: '链路', why: '原因', standing: '发送', backlog: '待上报', confirmed: '最近确认', never: '启动以来没有', published: '启动以来已发送和已确认', passed: '略过未报',
    passedHint: '积压过多时，低级别和一般级别的这些记录不再上报；它们仍在本节点日志中，中心知道数量。', passedNone: '没有',
    priority: '级别', records: '记录', bytes: '大小', total: '合计',
    links: { connecting: '正在连接', up: '已连接', down: '中断', closed: '已结束' }, standings: { down: '等待链路', asking: '正在向中心询问从何处继续', walking: '按日志顺序发送', ahead: '已停止：中心记有本节点更晚的运行' },
    cases: {
      level: { what: '中心已收到全部内容。', remedy: '无需处理。' },
      catching_up: { what: '正在补报积压内容。', remedy: '无需处理，警情优先发送。' },
      asking: { what: '正在向中心询问从何处继续。', remedy: '无需处理；如持续数分钟，请查看中心是否运行。' },
      connecting: { what: '正在建立链路。', remedy: '无需处理，系统会一直重试；录像不受影响。' },
      down: { what: '到中心的链路中断。本节点照常录像，事件已保存，恢复后补报。', remedy: '请检查到中心的网络，以及中心的消息服务器是否运行。系统会自动重试。' },
      refused: { what: '中心的消息服务器拒绝本节点。', remedy: '请向中心管理员确认本节点是否已退役。如已退役，请重新邀请，并在此运行 fengsui node enrol。' },
      closed: { what: '链路已结束。', remedy: '节点正在停止，或链路已无法继续：请查看日志，然后重新启动。' },
      ahead: { what: '中心记有本节点更晚的运行，因此本机不再上报。', remedy: '是否有另一台机器使用同一名称，或本机由旧副本恢复？请停止另一台；否则用 fengsui restore 恢复，它会接在其后继续。' },
      stuck: { what: '链路正常，但中心一分钟内没有任何确认。', remedy: '请查看中心：磁盘是否已满，程序是否运行。此处积压内容不会丢失。' },
    },
  },
  down: {
    title: '消息服务器', stream: '流中待取', streamed: (records, size) => `${records} 条，${size}`, applied: '启动以来已收入', duplicates: '已去除重复', previews: '先行到达的警情', quarantined: '已隔离', none: '没有',
    cases: {
      up: { what: '已连接。', remedy: '' }, connecting: { what: '正在连接。', remedy: '无需处理；如持续不变，请查看消息服务器是否运行。' },
      down: { what: '消息服务器没有应答。各节点照常录像，恢复后补报。', remedy: '请以本节点的用户启动：在数据目录的 relay 中运行 nats-server -c server.conf。系统会自动重试。' },
      closed: { what: '连接已结束。', remedy: '请查看本节点日志，然后重新启动。' },
    },
    reasons: {
      future: '时间在未来：请检查该节点时钟', before_time: '时间早于 2000 年：请检查该节点时钟', unknown_kind: '本中心不认识的类别：请升级中心', unknown_version: '版本较新：应先升级中心，再升级节点',
      oversized: '过大', malformed: '无法读取', foreign_camera: '涉及未分配给该节点的摄像机', wrong_origin: '发送者无权代其上报', broken_chain: '链不连续：有缺失或被改动',
    },
  },
  columns: { node: '节点', presence: '在线', cameras: '摄像机 在线 / 录像 / 总数', heard: '最近消息', backlog: '待上报', place: '最近收入的记录', quarantined: '隔离', state: '状态' },
  standings: { here: '在线', late: '迟缓', gone: '失联', silent: '从未上线', invited: '已邀请', expired: '邀请过期', retired: '已退役' },
  remedies: {
    here: '节点通信正常。', late: '最近消息晚于应有时间。请稍候；如持续，说明线路慢或丢包。', gone: '收不到任何消息。请检查那里的线路和电源；若只是线路中断，节点仍在录像。', silent: '已注册，但从未上线。请在其配置中写入 [relay] 并启动，检查能否访问消息服务器。',
    invited: '等待节点提交令牌。', expired: '令牌未在期限内提交，请重新邀请。', retired: '任何服务器都不再接受它；其事件和录像保留。',
  },
  states: { invited: '已邀请', active: '使用中', drained: '已排空', retired: '已退役' },
  counts: (here, late, gone) => `在线 ${here} · 迟缓 ${late} · 失联 ${gone}`,
  of: (online, recording, all) => `${online} / ${recording} / ${all}`, place: (epoch, seq) => `第 ${epoch} 次运行，记录 ${seq}`, sinceOld: '最后所知', waiting: (n) => `${n} 条`, recordedBy: (nodes) => `由 ${nodes} 代录`, recordsFor: (nodes) => `代录 ${nodes}`,
  none: '还没有节点', noneHint: '请邀请第一个分中心：选择其摄像机，并把令牌带到该节点。', next: '下一节点', previous: '上一节点', close: '关闭节点', open: (id) => `节点 ${id}`,
  detail: {
    live: '本中心实时画面', liveOf: (n, has, may) => `${number(n)} 路，${has} / ${may}`,
    title: '节点', what: '情况', cameras: '已分配摄像机', standby: '待命摄像机', inPlace: '代录', version: '版本', other: (own) => `本节点为 ${own}；节点与中心可相差一个版本`, clock: '时钟', clockOff: '请让双方使用同一时间服务器：两处的录像和事件按时间对照。', address: '注册来源', enrolled: '注册', invited: '邀请', by: (who) => `${who}`, expires: '令牌有效至', quarantinedHint: '未收入的记录，原因见“存储－日志”：relay.quarantined。', backlog: '节点待上报', unknown: '未知',
  },
  invite: {
    button: '邀请节点', again: '新令牌', title: '邀请节点', id: '节点名称', idHint: '与该节点 fengsui.toml 中 [node] id 一致：a-z、0-9 和 -，最多 32 个字符。', chosen: '摄像机', chosenHint: '本节点已知的摄像机和地点；地点代表其全部摄像机。', codes: '或填写摄像机编码', codesHint: '每个 20 位数字，一行一个。', hours: '令牌有效（小时）', hoursHint: '1 至 720',
    fault: { id: '请填写 1 至 32 个 a-z、0-9 或 -。', cameras: '请选择摄像机或填写编码。', codes: '以下不是摄像机编码：', standby: '以下不是摄像机编码：', both: '以下已是其自有摄像机，请只选其一：', hours: '请填写 1 至 720 的整数。' },
    shown: '令牌仅在此显示一次', shownLead: '请现在带到该节点。系统不保存令牌，之后无法再次显示；只能使用一次。', token: '令牌', until: (s) => `有效至 ${s}。`, command: '在该节点运行下列命令，按提示输入令牌', copy: '复制', copied: '已复制', copyToken: '复制令牌', copyCommand: '复制命令', done: '已保存', after: '然后在该节点的 fengsui.toml 中写入下列内容，并重新启动：',
  },
  standby: {
    invite: '为其他节点的摄像机待命', assign: (n) => `更改待命的摄像机（现有 ${number(n)} 路）`, lead: '摄像机所属节点失联期间由该节点代录，恢复后录像回补。该节点自己的配置中也须有这些摄像机，并写明 standby_for。',
    chosen: '待命摄像机', chosenHint: '此处所选将取代现有全部；留空表示不再待命。', codes: '或填写待命的编码', codesHint: '每个 20 位数字，一行一个。',
  },
  assign: { button: '分配摄像机', title: (id) => `为 ${id} 分配摄像机`, lead: (n) => `此处所选将取代该节点现有的全部 ${number(n)} 路摄像机。其他摄像机的事件不再接受。`, done: (id) => `${id} 的摄像机已分配。`, action: '分配' },
  drain: { button: '排空', title: (id) => `排空 ${id}？`, lead: '该节点继续工作和录像，但不再承担新的任务：更换或退役前的第一步。', done: (id) => `${id} 已排空。`, action: '排空' },
  retire: { button: '退役', title: (id) => `退役 ${id}？`, lead: '链路立即切断，任何服务器都不再接受它。尚未上报的内容留在该节点；已上报的事件保留。只有重新邀请才能恢复。', waits: (n) => `据其最近消息，还有 ${n} 条记录待上报，将不会到达此处。`, done: (id) => `${id} 已退役。`, action: '退役', sure: (id) => `请输入节点名称以确认：${id}`, sureFault: '与节点名称不符。' },
  reason: '原因', reasonHint: '写入日志。', reasonFault: '请填写原因。', working: '正在处理…',
  problem: { not_found: { what: '该节点不存在', remedy: '请重新加载列表。' }, conflict: { what: '该节点当前状态下不能执行', remedy: '状态可能已改变，请重新加载列表。' } },
};
