'use strict';
// Requests of the page to its server.
(function (wsol) {
  async function answer(response) {
    const content = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(content.error || `the server responds with status ${response.status}`);
    return content;
  }

  wsol.ask = async (path, options) => answer(await fetch(path, options).catch(() => {
    throw new Error('the server does not respond; check that wsol app is running');
  }));

  wsol.query = (parts) => new URLSearchParams(
    Object.entries(parts).filter(([, value]) => value !== null && value !== ''),
  ).toString();

  // Uploads files and returns their rows; told(share) is called with the progress.
  wsol.send = (files, choice, told) => new Promise((resolve, reject) => {
    const form = new FormData();
    for (const { file, name } of files) form.append('files', file, name);
    const request = new XMLHttpRequest();
    request.open('POST', `api/images?${wsol.query(choice)}`);
    request.responseType = 'json';
    request.upload.addEventListener('progress', (event) => told(event.loaded / event.total));
    request.addEventListener('load', () => {
      const content = request.response || {};
      if (request.status === 200) resolve(content.images);
      else reject(new Error(content.error || `the server responds with status ${request.status}`));
    });
    request.addEventListener('error', () => reject(new Error('the upload failed')));
    request.send(form);
  });
})(globalThis.wsol ??= {});
