'use strict';
// Choices of localizer, layer and instances for all images, and of the class for each image.
(function (wsol) {
  const { element: el } = wsol;

  function field(label, options, action) {
    const select = el('select', { onchange: () => action(select.value) },
      ...options.map(([value, text]) => el('option', { value }, text)));
    return { select, element: el('label', { class: 'field' }, el('span', {}, label), select) };
  }

  // Choices for all images. If changed(choice) throws, the previous choice is restored.
  wsol.Choices = class {
    constructor(about, changed) {
      this.changed = changed;
      this.choice = { localizer: '', layer: '', instances: '' };
      const part = (name) => (value) => this.change({ [name]: value });
      this.fields = {
        localizer: field('Localizer', [['', 'default'], ...about.localizers.map((name) => [name, name])], part('localizer')),
        layer: field('Layer', [['', 'default'], ...about.layers.map((name) => [name, name])], part('layer')),
        instances: field('Instances', [['', 'default'], ['single', 'single'], ['multiple', 'multiple']], part('instances')),
      };
      this.message = el('p', { class: 'told', role: 'alert' });
      this.element = el('section', { class: 'choices', 'aria-label': 'Options for all images' },
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

  // Controls of the open image: choice of the class, and removal.
  wsol.OwnChoice = class {
    // classes: unique names of all classes; requests refer to them by index.
    constructor(classes, look, remove) {
      this.classes = classes;
      this.select = el('select', {
        onchange: () => look(this.row, this.classes.indexOf(this.select.value)),
      });
      this.element = el('div', { class: 'own-choice' },
        el('label', { class: 'field' }, el('span', {}, 'Class to localize'), this.select),
        el('button', { type: 'button', class: 'plain', onclick: () => remove(this.row) }, 'Remove image'));
    }

    // The class of a decided image can only be changed after undo.
    follow(row, isDecided) {
      this.row = row;
      this.select.replaceChildren(...row.likely.map(([name, share]) => el('option', { value: name },
        `${name} \u00b7 ${wsol.percent(share)}`)));
      if (!row.likely.some(([name]) => name === row.class)) {
        this.select.append(el('option', { value: row.class }, row.class));
      }
      this.select.value = row.class;
      this.select.disabled = isDecided;
      this.select.title = isDecided ? 'Undo the decision to select another class' : '';
    }
  };

  // Download of all boxes in any format; address(format) returns the URL.
  wsol.downloads = function (formats, address) {
    const { select, element } = field('All boxes as', formats.map((name) => [name, name]), () => {});
    const save = () => el('a', { href: address(select.value), download: '' }).click();
    return el('div', { class: 'downloads' }, element,
      el('button', { type: 'button', class: 'plain', onclick: save }, wsol.icon('save'), 'Download'));
  };
})(globalThis.wsol ??= {});
