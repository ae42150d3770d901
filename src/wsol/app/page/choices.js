'use strict';
// How images are looked at: localizer, layer and instances for all of them, a class for each.
(function (wsol) {
  const { element: el } = wsol;

  function field(label, options, action) {
    const select = el('select', { onchange: () => action(select.value) },
      ...options.map(([value, text]) => el('option', { value }, text)));
    return { select, element: el('label', { class: 'field' }, el('span', {}, label), select) };
  }

  // Of all images. changed(choice) may throw: then the earlier choice is back.
  wsol.Choices = class {
    constructor(about, changed) {
      this.changed = changed;
      this.choice = { localizer: '', layer: '', instances: '' };
      const part = (name) => (value) => this.change({ [name]: value });
      this.fields = {
        localizer: field('Localizer', [['', 'as started'], ...about.localizers.map((name) => [name, name])], part('localizer')),
        layer: field('Features of', [['', 'its own layer'], ...about.layers.map((name) => [name, name])], part('layer')),
        instances: field('Boxes', [['', 'as started'], ['single', 'single'], ['multiple', 'multiple']], part('instances')),
      };
      this.message = el('p', { class: 'told', role: 'alert' });
      this.element = el('section', { class: 'choices', 'aria-label': 'How to look' },
        ...Object.values(this.fields).map(({ element }) => element), this.message);
    }

    async change(part) {
      const before = this.choice;
      this.choice = { ...before, ...part };
      this.tell('');
      try {
        await this.changed(this.choice);
      } catch (error) {
        this.choice = before;
        for (const [name, { select }] of Object.entries(this.fields)) select.value = before[name];
        this.tell(error.message);
      }
    }

    tell(text) {
      this.message.textContent = text;
    }
  };

  // Of the one image that is open: its class among the likeliest, and its end.
  wsol.OwnChoice = class {
    // classes: names of all; two never share one, and the server is asked by their number.
    constructor(classes, look, remove) {
      this.classes = classes;
      this.select = el('select', {
        onchange: () => look(this.row, this.classes.indexOf(this.select.value)),
      });
      this.element = el('div', { class: 'own-choice' },
        el('label', { class: 'field' }, el('span', {}, 'Look for'), this.select),
        el('button', { type: 'button', class: 'plain', onclick: () => remove(this.row) }, 'Remove image'));
    }

    // What is decided is not looked at anew: undo comes first.
    follow(row, isDecided) {
      this.row = row;
      this.select.replaceChildren(...row.likely.map(([name, share]) => el('option', { value: name },
        `${name} \u00b7 ${wsol.percent(share)}`)));
      if (!row.likely.some(([name]) => name === row.class)) {
        this.select.append(el('option', { value: row.class }, row.class));
      }
      this.select.value = row.class;
      this.select.disabled = isDecided;
      this.select.title = isDecided ? 'Undo the decision to look for another class' : '';
    }
  };

  // Everything in any format; address(format) is where it is.
  wsol.downloads = function (formats, address) {
    const { select, element } = field('All boxes as', formats.map((name) => [name, name]), () => {});
    const save = () => el('a', { href: address(select.value), download: '' }).click();
    return el('div', { class: 'downloads' }, element,
      el('button', { type: 'button', class: 'plain', onclick: save }, wsol.icon('save'), 'Download'));
  };
})(globalThis.wsol ??= {});
