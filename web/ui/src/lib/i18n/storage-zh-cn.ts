import type { StorageMessages } from './storage-en';

const number = (n: number): string => n.toLocaleString('zh-CN');

export const storageZhCn: StorageMessages = {
  title: '存储',
  parts: { volumes: '存储卷', integrity: '完整性' },
  parting: '存储各部分', abnormal: '需要处理', go: (part) => `显示：${part}`, refresh: '重新加载',
  old: '以下为服务器上次的应答，再次查询失败：', more: '更多', loadingMore: '正在加载…', rate: (s) => `${s}/秒`, segments: (n) => `${number(n)} 段`,
  everyCamera: '全部摄像机', working: '正在处理…',
  volumes: {
    none: '尚未配置存储卷', noneHint: '无法录像。请在配置文件中添加 [[storage.volume]]，写明 id 和 path。',
    mode: { use: '写入录像', drain: '停止写入：不再分配新录像', evacuate: '正在迁空：录像移到其他存储卷' },
    kind: { direct: '直接写入', staged: (stage) => `未完成的录像段写在 ${stage}`, stage: '缓冲卷：其他卷未完成的录像段写在此处' },
    fill: (id, used) => `${id} 已用：${used}`, footage: '已完成录像', other: '其他（含正在写入的录像）', free: '剩余', reserve: '保留空间', of: (part, all) => `${part}，共 ${all}`,
    weight: '新录像份额', weightOf: (percent) => `按剩余空间的 ${percent}%`, stored: '已存', open: '正在写入', waiting: '等待移动', moved: '启动以来已移动', failures: '启动以来移动失败',
    since: '此状态始于', countedHint: '录像段每十秒统计一次。', unknownSize: '卷不在位，容量未知。',
    orders: { use: '恢复写入', drain: '停止写入', evacuate: '全部迁出', adopt: '接管此盘', replace: '启用新盘', replace_folder: '启用普通目录' },
    ask: {
      use: (id) => `让 ${id} 恢复写入录像？`, drain: (id) => `不再给 ${id} 分配新录像？`, evacuate: (id) => `把 ${id} 的录像全部移到其他存储卷？`,
      adopt: (id) => `把已挂载的磁盘接管为 ${id}？`, replace: (id) => `把新磁盘启用为 ${id}？`, replace_folder: (id) => `把普通目录启用为 ${id}？`,
    },
    effect: {
      use: '新的录像段将按剩余空间和份额重新分配到此卷。',
      drain: '只要还有其他卷可写，新的录像段就写到其他卷。已有录像保留在此，可以调阅。',
      evacuate: '新的录像段写到其他卷；已有录像逐段复制过去，校验无误后才在此删除。期间可以调阅，可能需要数小时。',
      adopt: '该位置挂载的磁盘连同其中的录像成为此卷。',
      replace: '该位置挂载的空磁盘成为此卷。只存在于旧盘的录像将显示为丢失。',
      replace_folder: '该位置没有挂载磁盘，仍把空目录作为此卷。',
    },
    given: (id) => `对 ${id} 的指令已下达，数秒内生效。`,
  },
  integrity: {
    state: { idle: '当前没有需要校验的录像', reading: '正在校验', paused: '等待：磁盘优先用于录像', off: '持续校验已关闭，只处理校验请求' },
    offHint: '请将配置中的 storage.scrub_mib_per_s 设为大于 0 的值。',
    pass: '全部录像校验', last: '上一轮完整校验', never: '尚未完成过一轮校验。', progress: '本轮进度', doneOf: (percent, read, all) => `${percent}：已读 ${read}，录像共 ${all}`, read: (read) => `已读 ${read}`,
    limit: '速率上限', measured: '平均速率', left: '预计完成', leftIn: (s, at) => `${s}后（${at}）`, started: '开始', finished: '完成', took: '用时', whole: '已读', reached: '已校验到', skipped: '无法读取', found: '新发现损坏', repaired: '已用副本替换', period: '完整一轮约需', errors: '启动以来失败',
    checks: '校验请求', noChecks: '还没有校验请求。', wait: '排队或校验中', through: '已完成', result: (segments, damaged) => `读取 ${number(segments)} 段，新发现损坏 ${number(damaged)} 处`,
    ask: '校验指定录像', askHint: '优先于持续校验，逐字节读取。', camera: '摄像机', cameraHint: '留空表示全部摄像机', from: '开始时间', to: '结束时间', stream: '码流', submit: '校验', accepted: '已接受校验请求。', tooMany: '排队的校验请求过多，请等部分完成后再试。',
    damaged: '损坏位置', noDamage: '没有损坏', noDamageHint: '到目前为止读到的内容均与写入时一致。', total: (n, lost) => `${number(n)} 处，丢失录像 ${lost}`, unlisted: (n) => `另有 ${number(n)} 处未列出，见日志。`,
    columns: { camera: '摄像机', moment: '丢失的录像', part: '部位', file: '文件', found: '发现时间' }, toMoment: (camera, at) => `调阅 ${camera} ${at}`, nothingLost: '未丢失画面', lostFor: (s) => `丢失 ${s}`,
    part: { preamble: '文件头', group: '画面', record: '提交记录', footer: '文件尾', file: '整个文件' }, at: (offset, length) => `自第 ${offset} 字节起，${length}`,
  },
  time: { hint: '1430、11-23 14:30、-2h', reads: (s) => `即 ${s}`, missing: '请填写时间。', bad: '无法识别的时间。示例：1430、11-23 14:30、2026-11-23 14:30、-2h。', before: '结束时间不在开始时间之后。' },
  picker: { site: '监控点', station: '派出所', centre: '分中心', camera: '摄像机', remove: (name) => `移除 ${name}`, nothing: '没有这样的名称。' },
};
