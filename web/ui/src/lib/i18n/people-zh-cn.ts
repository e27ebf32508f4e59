import type { PeopleMessages } from './people-en';

export const peopleZhCn: PeopleMessages = {
  title: '人员', lead: '每人使用自己的账号，操作均记在其名下。账号只停用，不删除。', alone: '目前只有这一个账号', aloneHint: '请为每位值班人员建立账号，警情才有责任人，日志才有姓名。',
  columns: { name: '用户名', roles: '角色', state: '状态', made: '建立', actions: '操作' },
  role: { administrator: '管理员', supervisor: '值班长', operator: '值班员' },
  roleMay: { administrator: '全部权限，包括账号、存储、节点和日志。', supervisor: '除值班员权限外，可批量处置、代他人处置，并维护规则、预案和巡防力量。', operator: '查看全部摄像机的实时画面和录像，处置警情和案（事）件。' },
  right: { act: '处置警情和案（事）件', bulk: '批量处置、代他人处置', administer: '管理服务器' },
  you: '本人', good: '使用中', disabled: '已停用', first: '首次启动时', by: (name) => `由 ${name}`, count: (n, off) => `共 ${n.toLocaleString('zh-CN')} 个账号${off > 0 ? `，停用 ${off.toLocaleString('zh-CN')} 个` : ''}`,
  make: '新建账号', refresh: '重新加载', working: '正在处理…', name: '用户名', nameHint: '用于登录和日志，以后不能更改。', roles: '角色', password: '密码', passwordHint: '12 至 128 个字符，不含用户名。', repeat: '再次输入密码', show: '显示', made: (name) => `已建立账号 ${name}。`,
  changeRoles: '角色', changeRolesOf: (name) => `${name} 的角色`, rolesEffect: '其登录立即失效，重新登录后按新角色授权。', rolesDone: (name) => `${name} 的角色已更改。`,
  setPassword: '重设密码', setPasswordOf: (name) => `重设 ${name} 的密码`, setPasswordEffect: '其登录立即失效。请当面告知新密码，本人可在账号菜单中更改。', setPasswordDone: (name) => `${name} 的密码已重设。`,
  disable: '停用', disableOf: (name) => `停用 ${name}？`, disableEffect: '其登录立即失效，且不能再登录。其操作记录保留在日志中，账号可以重新启用。', disableDone: (name) => `${name} 已停用。`,
  enable: '启用', enableOf: (name) => `启用 ${name}？`, enableEffect: '可用原密码登录，角色不变。', enableDone: (name) => `${name} 已可登录。`,
  last: '最后一名管理员', lastHint: '最后一名可登录的管理员不能停用，也不能取消其角色。请先将其他人设为管理员。', ownPassword: '本人密码请在账号菜单（右上角姓名）中更改。',
  notYours: '只有管理员可以管理人员', notYoursHint: '本人密码在账号菜单（右上角姓名）中更改；如需其他权限，请联系管理员。',
  own: { title: '我的账号', rights: '可以', noRights: '没有任何角色，请联系管理员。', change: '更改密码', old: '当前密码', lead: '更改后，本人在其他地方的登录全部失效。', done: '密码已更改，其他登录已失效。', wrongOld: '当前密码不正确。' },
  fault: { nameMissing: '请填写用户名。', nameShape: '不能用作用户名。', nameTaken: '已有此用户名的账号；停用的账号可以重新启用。', roles: '请至少选择一个角色。', short: '密码不足 12 个字符。', long: '密码超过 128 个字符。', hasName: '密码中含有用户名。', alike: '密码是同一字符的重复。', differ: '两次输入的密码不一致。', same: '与当前密码相同。', oldMissing: '请填写当前密码。' },
  console: '控制台中的相同功能：fengsui account list | create | set-roles | disable | enable | password。',
};
