import type { Progress, Told } from './link';

/** Texts of the page of a unit; small, so that they come with it. */
const en = {
  locale: 'en', title: 'Order', opening: 'Opening the order …', level: (n: number) => `priority ${n}`, place: 'Place', order: 'Order', about: 'About', cameras: 'Cameras', contact: 'Desk', sentBy: (by: string) => `sent by ${by}`, call: 'Call', map: 'Position',
  progress: { sent: 'sent', received: 'received', arrived: 'arrived', done: 'done', declined: 'declined', recalled: 'called back' } as Record<Progress, string>,
  act: { received: 'Received', arrived: 'Arrived', done: 'Done', declined: 'Cannot go' } as Record<Told, string>,
  result: 'What was done', resultHint: 'A sentence for the record.', resultMissing: 'Write what was done.', reason: 'Why not', reasonMissing: 'Write why.', back: 'Back', sendDecline: 'Decline',
  offline: 'No connection. What you told is kept and sent as soon as there is one.', offlinePlain: 'No connection. It is tried again by itself.', sending: (what: string) => `Sending: ${what} …`,
  share: 'Tell the desk where I am', shared: 'Position was sent', notShared: 'The position is not known or could not be sent.',
  over: { title: 'This order has ended', done: 'It is done. Thank you.', declined: 'You have declined it.', recalled: 'The desk has called you back.', other: 'Nothing more is to be told here.' },
  elsewhere: { title: 'Another device has opened this link', remedy: 'It works once. Go on with that device, or call the desk for a new link.' },
  refused: { title: 'This link is not good', remedy: 'It was revoked, its time is over, or it is not whole. Call the desk for a new one.' },
  none: { title: 'No order on this device', remedy: 'Open the link that the desk sent.' }, failed: 'This was not taken', notice: 'The node says', again: 'Try again',
};
export type UnitPageWords = typeof en;

const zhCn: UnitPageWords = {
  locale: 'zh-CN', title: '任务', opening: '正在打开任务…', level: (n) => `${n} 级`, place: '地点', order: '任务要求', about: '情况', cameras: '摄像机', contact: '值班台', sentBy: (by) => `派出人 ${by}`, call: '拨打', map: '坐标',
  progress: { sent: '已派出', received: '已接收', arrived: '已到达', done: '已完成', declined: '已拒绝', recalled: '已召回' },
  act: { received: '接收', arrived: '到达', done: '完成', declined: '无法前往' },
  result: '处置结果', resultHint: '一句话，记入档案。', resultMissing: '请填写处置结果。', reason: '原因', reasonMissing: '请填写原因。', back: '返回', sendDecline: '拒绝任务',
  offline: '没有网络。您的操作已保留，联网后自动发送。', offlinePlain: '没有网络，正在自动重试。', sending: (what) => `正在发送：${what}…`,
  share: '向值班台上报我的位置', shared: '位置已上报', notShared: '无法获取或上报位置。',
  over: { title: '任务已结束', done: '任务已完成，辛苦了。', declined: '您已拒绝此任务。', recalled: '值班台已召回。', other: '此处无需再操作。' },
  elsewhere: { title: '链接已在另一台设备上打开', remedy: '链接只能使用一次。请用那台设备继续，或致电值班台获取新链接。' },
  refused: { title: '链接无效', remedy: '链接已撤销、已过期或不完整。请致电值班台获取新链接。' },
  none: { title: '本设备没有任务', remedy: '请打开值班台发送的链接。' }, failed: '未能提交', notice: '服务器说明', again: '重试',
};

export function wordsFor(language: string | undefined): UnitPageWords {
  return language === undefined || language.toLowerCase().startsWith('zh') ? zhCn : en;
}
