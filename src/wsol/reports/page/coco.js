'use strict';
// Accepted boxes as a COCO data set, as wsol predict --format coco writes for all boxes.
(function (wsol) {
  // pairs: [[row, boxes of wsol.boxesOf], ...]
  wsol.toCoco = function (pairs, classes) {
    const images = [];
    const annotations = [];
    for (const [row, boxes] of pairs) {
      const image = images.length + 1;
      images.push({ id: image, file_name: row.name, width: row.width, height: row.height });
      for (const { box: [x0, y0, x1, y1], score, label } of boxes) {
        annotations.push({
          id: annotations.length + 1,
          image_id: image,
          category_id: label + 1,
          bbox: [x0, y0, x1 - x0, y1 - y0],
          area: (x1 - x0) * (y1 - y0),
          iscrowd: 0,
          score,
        });
      }
    }
    const categories = classes.map((name, number) => ({ id: number + 1, name }));
    return { images, annotations, categories };
  };

  wsol.download = function (name, content) {
    const blob = new Blob([JSON.stringify(content, null, 1)], { type: 'application/json' });
    const address = URL.createObjectURL(blob);
    const link = wsol.element('a', { href: address, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
})(globalThis.wsol ??= {});
