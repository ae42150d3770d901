'use strict';
/*
Where a page's images come from: one object, which a report on disk and an app make differently.

  source.about          what all rows have in common
    id                  text, under which decisions are kept
    classes             names, by number
    threshold           share of a map's maximum, the prediction's own
    instances           'single' box or 'multiple'
    model               what made the boxes, in words
    number              of images in the prediction; more than there are rows where some are left out
    statuses            {ok, no_object, error}: how many of them
    metrics             {name: percent or number or null}, as wsol evaluate names them
    figures             {name: {title, kind}} of these: what they are called, and whether each is a
                        'percent', 'count', 'fault' (a count of what went wrong) or 'threshold'
    curves              {thresholds, lines: [{iou, values}]} in percent, or null
    scores              histogram of scores in [0, 1], number of images in each bin
    truth               whether true boxes or classes of any image are known
  source.rows           a list, one row for each image; more may come by view.add(rows)
    name                the file's name, shown as text and written to downloads
    width, height       of the original image in pixels; 0 where it could not be read
    status              'ok', 'no_object' or 'error'
    error               why there is no prediction or no photograph, or null
    label, score        number of the class (-1 for none) and its probability
    boxes               [[x0, y0, x1, y1, score, label], ...] in pixels of the original image
    truth               {classes: [names], right: class right or wrong, or null where that cannot be
                        said, boxes: [[x0, y0, x1, y1, name], ...]}, or null
    map                 whether there is a score map
    threshold           optional: the row's own, where it is not that of about
  source.photo(row)     address of the photograph's copy, or null
  source.map(row)       promise of the score map: bytes of a PNG, grey, 8 bits, at most 96 pixels a
                        side, over the whole image

Rows belong to the page once they are given: it adds fields of its own to them.

wsol.start(source) makes the page and returns its view. What hosts other than a report may use of it:

  view.add(rows)        adds images
  view.renew(row, content)  gives one new content
  view.remove(rows)     takes some away
  view.set(change)      changes threshold (null: as predicted), opacity, heat, order or filter
  view.header           an element above the summary for controls of the host's own
  view.toolbar.own      the same, in the toolbar
  view.viewer.own       the same, beside the large image; view.viewer.shown(row) is called for each
  view.coco()           promise of the accepted boxes as a COCO data set
*/
(function (wsol) {
  let index = null;
  const chunks = new Map();

  // The scripts of a report's data call these two: a page from disk may load scripts, nothing else.
  wsol.takeIndex = (content) => { index = content; };
  wsol.takeMaps = (chunk, maps) => { chunks.set(chunk, maps); };

  wsol.diskSource = function () {
    if (!index) return null;
    index.rows.forEach((row, number) => { row.number = number; });
    const loading = new Map();

    function load(chunk) {
      if (!loading.has(chunk)) {
        loading.set(chunk, new Promise((resolve, reject) => {
          const script = document.createElement('script');
          script.src = `data/maps-${String(chunk).padStart(5, '0')}.js`;
          script.onload = () => { script.remove(); resolve(); };
          script.onerror = () => reject(new Error('the heat map\u2019s file is missing'));
          document.head.append(script);
        }));
      }
      return loading.get(chunk);
    }

    return {
      about: index.about,
      rows: index.rows,
      photo: (row) => (row.photo ? `photos/${String(row.number).padStart(6, '0')}.jpg` : null),
      async map(row) {
        const size = index.about.chunk;
        const chunk = Math.floor(row.number / size);
        await load(chunk);
        const text = atob(chunks.get(chunk)[row.number % size]);
        const bytes = new Uint8Array(text.length);
        for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
        return bytes;
      },
    };
  };
})(globalThis.wsol ??= {});
