'use strict';
/*
Data source of a page: an object that reports and the app implement differently.

  source.about          information on all rows
    id                  text, key of the stored decisions
    classes             class names by index
    threshold           threshold of the prediction, as a fraction of a map's maximum
    instances           'single' or 'multiple' boxes
    model               description of the model
    number              number of images in the prediction; may exceed the number of rows
    statuses            {ok, no_object, error}: number of images by status
    metrics             {name: percent or number or null}, with the names of wsol evaluate
    figures             {name: {title, kind}}: display of the metrics; kind is 'percent', 'count',
                        'fault' (a count that is only shown if it is not 0) or 'threshold'
    curves              {thresholds, lines: [{iou, values}]} in percent, or null
    scores              histogram of scores in [0, 1], number of images in each bin
    ground_truth        whether ground-truth boxes or classes of any image are known
  source.rows           list with one row per image; view.add(rows) adds rows
    name                name of the image, shown as text and written to downloads
    width, height       size of the original image in pixels; 0 if it is unreadable
    status              'ok', 'no_object' or 'error'
    error               reason why the prediction or the image copy is missing, or null
    label, score        index of the class (-1 for none) and its probability
    boxes               [[x0, y0, x1, y1, score, label], ...] in pixels of the original image
    ground_truth        {classes: [names], right: whether the class is correct, or null if unknown,
                        boxes: [[x0, y0, x1, y1, name], ...]}, or null
    map                 whether the row has a score map
    threshold           optional: threshold of the row, if it differs from that of about
  source.photo(row)     URL of the image copy, or null
  source.map(row)       promise of the score map of the whole image: bytes of a gray 8-bit PNG,
                        at most 64 pixels per side

The page takes over the rows, and adds fields to them.

wsol.start(source) creates the page and returns its view. Interface for hosts other than a report:

  view.add(rows)        adds images
  view.renew(row, content)  replaces the content of a row
  view.remove(rows)     removes images
  view.set(change)      changes threshold (null: as predicted), opacity, heat, order or filter
  view.header           element above the summary for controls of the host
  view.toolbar.own      element in the toolbar for controls of the host
  view.viewer.own       element in the viewer for controls of the host; view.viewer.shown(row) is
                        called for each shown image
  view.coco()           promise of the accepted boxes as a COCO data set
*/
(function (wsol) {
  let index = null;
  const chunks = new Map();

  // Called by the data scripts of a report, as a page from disk can only load data as scripts.
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
          script.onerror = () => reject(new Error('the file of the heat map is missing'));
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
