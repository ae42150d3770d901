'use strict';
// Uploads of dropped, selected or pasted files, each with its progress or error.
(function (wsol) {
  const { element: el } = wsol;
  // Files per request: few, so that the first ones appear soon; more than one, as some localizers
  // are fitted to a collection of images.
  const TOGETHER = 8;
  const OVERHEAD = 4096;

  // Returns all files of a dropped folder, with their paths.
  async function filesOf(entry, path) {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
      return [{ file, name: path + file.name }];
    }
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const entries = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
      if (!entries.length) break;
      for (const each of entries) found.push(...await filesOf(each, `${path}${entry.name}/`));
    }
    return found;
  }

  async function dropped(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) {
      return [...transfer.files].map((file) => ({ file, name: file.name }));
    }
    const found = [];
    for (const entry of entries) found.push(...await filesOf(entry, ''));
    return found;
  }

  const arrow = () => wsol.svg('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true' },
    wsol.svg('path', { d: 'M12 16V5M7 10l5-5 5 5M5 20h14' }));

  class Line {
    constructor(name) {
      this.state = el('span', { class: 'state' }, 'waiting');
      this.bar = el('progress', { max: 1, value: 0, 'aria-label': name });
      this.element = el('li', {}, el('span', { class: 'name' }, name), this.bar, this.state);
    }

    tell(text, share) {
      this.state.textContent = text;
      if (share === null) this.bar.removeAttribute('value');
      else this.bar.value = share;
    }

    fail(reason) {
      this.element.classList.add('failed');
      this.bar.remove();
      this.state.textContent = reason;
    }
  }

  wsol.Uploads = class {
    // choice(): current choice of localizer options; take(rows): handles the rows of the response.
    constructor(limits, choice, take) {
      Object.assign(this, { limits, choice, take, waiting: [], busy: false });
      this.files = this.input({ multiple: true, accept: 'image/*', id: 'choose-files' });
      this.folder = this.input({ webkitdirectory: true, id: 'choose-folder' });
      this.list = el('ul', { class: 'uploads', 'aria-label': 'Uploads' });
      this.clear = el('button', { type: 'button', class: 'plain', hidden: true,
        onclick: () => this.clearErrors() }, 'Clear messages');
      this.said = el('p', { class: 'said', role: 'status', 'aria-live': 'polite' });
      const megabytes = Math.round(limits.file / 1048576);
      this.element = el('section', { class: 'drop', 'aria-label': 'Add images' },
        el('div', { class: 'invitation' },
          arrow(),
          el('div', {},
            el('p', { class: 'lead' }, 'Drop images or a folder here, or paste an image'),
            el('p', { class: 'quiet' }, `JPEG, PNG, WebP, GIF, BMP, TIFF or PPM, up to ${megabytes} MiB each. `
              + 'Nothing leaves this machine.')),
          el('div', { class: 'choosers' },
            el('button', { type: 'button', class: 'primary', onclick: () => this.files.click() }, 'Choose images'),
            el('button', { type: 'button', class: 'plain', onclick: () => this.folder.click() }, 'Choose a folder'))),
        this.files, this.folder, this.list, this.clear, this.said);
      this.listen();
    }

    input(attributes) {
      const input = el('input', { type: 'file', hidden: true, ...attributes, onchange: () => {
        this.add([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
        input.value = '';
      } });
      return input;
    }

    listen() {
      const over = (is) => document.body.classList.toggle('dragging', is);
      const hasFiles = (event) => [...event.dataTransfer.types].includes('Files');
      addEventListener('dragover', (event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        over(true);
      });
      addEventListener('dragleave', (event) => { if (!event.relatedTarget) over(false); });
      addEventListener('drop', async (event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        over(false);
        this.add(await dropped(event.dataTransfer));
      });
      addEventListener('paste', (event) => {
        const files = [...event.clipboardData.files];
        if (files.length) event.preventDefault();
        this.add(files.map((file) => ({ file, name: file.name })));
      });
    }

    add(files) {
      for (const each of files) {
        // Hidden files of the system.
        if (each.name.includes('/') && each.file.name.startsWith('.')) continue;
        each.line = new Line(each.name);
        this.list.append(each.line.element);
        if (each.file.size > this.limits.file) {
          each.line.fail(`larger than ${wsol.count(this.limits.file)} bytes`);
        } else this.waiting.push(each);
      }
      this.tell();
      this.work();
    }

    // Returns as many of the waiting files as fit into one request.
    next() {
      const files = [];
      let size = 0;
      while (this.waiting.length && files.length < TOGETHER) {
        size += this.waiting[0].file.size + OVERHEAD;
        if (files.length && size > this.limits.request) break;
        files.push(this.waiting.shift());
      }
      return files;
    }

    async work() {
      if (this.busy) return;
      this.busy = true;
      while (this.waiting.length) {
        const files = this.next();
        try {
          const rows = await wsol.send(files, this.choice(), (share) => {
            for (const { line } of files) line.tell(share < 1 ? 'uploading' : 'localizing', share < 1 ? share : null);
          });
          files.forEach(({ line }, i) => {
            if (rows[i].id) line.element.remove();
            else line.fail(rows[i].error);
          });
          this.take(rows.filter((row) => row.id));
        } catch (error) {
          for (const { line } of files) line.fail(error.message);
        }
        this.tell();
      }
      this.busy = false;
    }

    tell() {
      const failed = this.list.querySelectorAll('.failed').length;
      const left = this.list.children.length - failed;
      this.clear.hidden = !failed;
      this.said.textContent = [left ? `${left} uploading` : '', failed ? `${failed} refused` : '']
        .filter(Boolean).join(', ');
    }

    clearErrors() {
      for (const line of this.list.querySelectorAll('.failed')) line.remove();
      this.tell();
    }
  };
})(globalThis.wsol ??= {});
