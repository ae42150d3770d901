'use strict';
// Starts the page of a report; the last script.
wsol.view = wsol.start(wsol.diskSource());
