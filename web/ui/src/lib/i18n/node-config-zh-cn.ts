import type { NodeConfigMessages } from './node-config-en';

export const nodeConfigZhCn: NodeConfigMessages = {
  button: '配置', title: (id) => `${id} 的配置`, back: '返回节点',
  lead: '该节点的场所和摄像机，写法与节点自己的配置文件相同。摄像机的用户名和密码、存储卷、地址和账号留在节点。版本即刻下发，链路中断时恢复后下发；节点独立运行时按最后一版工作。',
  text: '场所和摄像机', reason: '原因', reasonHint: '写入日志，并显示在版本旁。', reasonFault: '请填写原因。', save: '保存并下发', saving: '正在保存……', saved: (version, id) => `${id} 的第 ${version} 版已保存。`,
  size: (bytes, most) => `${bytes}，上限 ${most}`, tooLong: '文本过长。',
  faults: '需要改正', line: (n) => `第 ${n} 行`, whole: '整体', toLine: (n) => `转到第 ${n} 行`,
  changes: (than) => `与${than}相比的改动`, noChanges: '没有改动。', ofVersion: (n) => `第 ${n} 版`, ofNode: '节点现有内容', removed: '删除', added: '新增',
  versions: '版本', none: '还没有版本：节点按自己的文件工作。文本为其现有内容。', noneUnknown: '还没有版本，也无法向节点询问现有内容。请等节点在线。',
  load: '取入编辑框', loadOf: (n) => `将第 ${n} 版取入编辑框`, fromNode: '取节点现有内容', by: (who) => `由 ${who}`,
  states: { pending: '等待节点', in_force: '生效中', refused: '被节点拒绝', released: '已在节点停用', replaced: '已被替换', skipped: '未曾下发' },
  refusedHint: '节点仍按原有内容工作。请按其说明改正后重新保存。', releasedHint: '节点的人员已改回自己的文件。请与其沟通；保存新版本后重新生效。', pendingHint: '节点可达后立即下发。', why: '尚未送达：',
  overtaken: (who, n) => `${who} 已保存第 ${n} 版，此处内容是在其之前开始编辑的。`, goOn: (n) => `以此文本接续第 ${n} 版`,
  problem: { 'conflict text': { what: '文本与最新一版相同', remedy: '请作改动，或不必保存。' }, 'conflict If-Match': { what: '其间已有他人保存新版本', remedy: '请在下方查看，并在其基础上修改。' }, bad_request: { what: '文本未被接受', remedy: '请改正所列各行；未作任何改动。' }, too_large: { what: '文本过长', remedy: '请删去备注，或将摄像机分到多个节点。' } },
  inForceHere: (version, who, when) => `场所和摄像机以中心为准：第 ${version} 版，由 ${who} 在中心保存，${when} 起在此生效。本节点自己文件中的相应内容暂不使用（fengsui node config release）。`,
  brief: (version, state) => `第 ${version} 版，${state}`, ownFile: '自己的文件', leave: '所写内容尚未保存，仍要离开吗？', leaveAction: '离开',
};
