import { Problem } from './client';

/** Sends a file as the body of a POST and tells how far it is, which `fetch` does not. */
export function upload<T>(url: string, file: Blob, onProgress: (share: number) => void, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', url);
    // What it is, its bytes say; browsers guess by the name.
    request.setRequestHeader('content-type', 'application/octet-stream');
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Problem(0, 'no_answer', ''));
    request.onabort = () => reject(new DOMException('aborted', 'AbortError'));
    request.onload = () => {
      if (request.status < 200 || request.status >= 300) {
        reject(Problem.read(request.status, request.responseText));
        return;
      }
      resolve((request.responseText === '' ? undefined : JSON.parse(request.responseText)) as T);
    };
    signal?.addEventListener('abort', () => request.abort(), { once: true });
    request.send(file);
  });
}
