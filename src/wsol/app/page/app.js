'use strict';
// The page of a report for images that are uploaded while it is open.
(async function (wsol) {
  const { element: el } = wsol;

  // Data source with the images on the server, in place of the files of a report.
  function source(about, rows) {
    const place = (row) => `api/images/${row.id}`;
    return {
      about: { ...about, number: 0, statuses: {}, metrics: {}, figures: {}, curves: null, scores: [], ground_truth: false },
      rows,
      photo: (row) => `${place(row)}/photo`,
      async map(row) {
        const response = await fetch(`${place(row)}/map`);
        if (!response.ok) throw new Error('the heat map is no longer available');
        return new Uint8Array(await response.arrayBuffer());
      },
    };
  }

  class App {
    constructor(about, rows) {
      this.view = wsol.start(source(about, rows));
      const { view } = this;
      this.choices = new wsol.Choices(about, (choice) => this.lookAtAll(choice));
      this.uploads = new wsol.Uploads(about.limits, () => this.choices.choice, (added) => this.take(added));
      this.own = new wsol.OwnChoice(about.classes, (row, label) => this.lookFor(row, label),
        (row) => this.remove(row));
      this.removeAll = el('button', { type: 'button', class: 'plain remove',
        onclick: () => this.clear() }, 'Remove all');
      document.querySelector('h1 span').textContent = ' app';
      document.body.classList.add('app');
      view.header.append(this.uploads.element, this.choices.element);
      this.choices.element.append(
        wsol.downloads(about.formats, (format) => this.download(format)), this.removeAll);
      view.viewer.own.append(this.own.element);
      view.viewer.shown = (row) => this.own.follow(row, Boolean(view.decisions.of(row)));
      view.toolbar.order.select.value = 'given';
      view.set({ order: 'given' });
      this.tell();
    }

    take(rows) {
      if (rows.length) this.follow(rows[0].threshold);
      this.view.add(rows);
      this.tell();
    }

    // Predicted boxes are those at the threshold of the current localizer.
    follow(threshold) {
      this.view.about.threshold = threshold;
      this.view.toolbar.follow();
    }

    async look(row, choice) {
      const fresh = await wsol.ask(`api/images/${row.id}/localize`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ label: row.chosen, ...choice }),
      });
      this.view.renew(row, fresh);
    }

    async lookFor(row, label) {
      const { localizer, layer, instances } = row;
      try {
        await this.look(row, { localizer, layer, instances, label });
      } catch (error) {
        this.choices.tell(error.message);
        this.view.viewer.shown(row);
      }
    }

    // Localizes in all images again, visible ones first; a later choice cancels an earlier one.
    // Decided images do not change.
    async lookAtAll(choice) {
      const turn = (this.turn = {});
      const { decisions } = this.view;
      const rows = [...this.view.order, ...this.view.rows.filter((row) => !this.view.order.includes(row))]
        .filter((row) => !decisions.of(row));
      for (const [done, row] of rows.entries()) {
        if (this.turn !== turn) return;
        if (decisions.of(row)) continue;
        this.choices.tell(`localizing ${done + 1} of ${rows.length}`);
        await this.look(row, choice);
        if (!done) this.follow(row.threshold);
      }
      this.choices.tell(rows.length ? `localized ${wsol.count(rows.length)}` : '');
    }

    async remove(row) {
      await wsol.ask(`api/images/${row.id}`, { method: 'DELETE' }).catch(() => null);
      this.view.remove([row]);
      this.tell();
    }

    async clear() {
      await wsol.ask('api/images', { method: 'DELETE' }).catch(() => null);
      this.turn = null;
      this.view.remove([...this.view.rows]);
      this.tell();
    }

    download(format) {
      return `api/download?${wsol.query({ format, threshold: this.view.state.threshold })}`;
    }

    tell() {
      document.body.classList.toggle('nothing', !this.view.rows.length);
    }
  }

  try {
    const [about, { images }] = await Promise.all([wsol.ask('api/info'), wsol.ask('api/images')]);
    wsol.app = new App(about, images);
  } catch (error) {
    document.body.replaceChildren(el('p', { class: 'empty' }, error.message));
  }
})(globalThis.wsol ??= {});
