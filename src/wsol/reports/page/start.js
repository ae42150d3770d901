'use strict';
// The last script of a report on disk.
wsol.view = wsol.start(wsol.diskSource());
