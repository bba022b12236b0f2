// Assembles the page once it is loaded.

function refresh() {
  const rows = shownRows();
  drawFrontier(rows);
  drawLayers(drawTable(rows));
}

/** Sorting and paging change only the table and the picture of the layers. */
function refreshTable() {
  drawLayers(drawTable(shownRows()));
}

function describe() {
  const count = (number, name) => `${number.toLocaleString('en')} ${name}${number === 1 ? '' : 's'}`;
  const statuses = [...groupBy(known.unfinished, ({ status }) => status)].map(([status, its]) => `${its.length} ${status}`);
  document.getElementById('title').textContent = known.title;
  document.getElementById('summary').textContent = [
    count(known.runs.length, 'finished run'), count(known.rows.filter((row) => !row.dense).length, 'setting'), ...statuses,
  ].join(', ');
  document.getElementById('footer').textContent = `Written ${known.written.slice(0, 16).replace('T', ' ')} by secateur ${known.version} from records only; this file needs no network.`;
}

/** Scores of models that were compressed on text, and the percentage of the dense model's scores kept: tasks across. */
function listStages() {
  const cell = (name, text, place) => element(name, { class: place ? null : 'text', scope: name === 'th' ? 'col' : null }, text);
  document.getElementById('stages').hidden = !known.stages.length;
  document.getElementById('stages-tables').replaceChildren(...known.stages.flatMap(({ title, tables }) => [
    element('h3', {}, title),
    ...tables.map(({ header, rows }) => element('div', { class: 'scroll' }, element('table', {},
      element('thead', {}, element('tr', {}, ...header.map((text, place) => cell('th', text, place)))),
      element('tbody', {}, ...rows.map((texts) => element('tr', {}, ...texts.map((text, place) => cell('td', text.trim(), place)))))))),
  ]));
  document.getElementById('stages-note').textContent = known.stageNotes.join('; ');
}

function listUnfinished() {
  document.getElementById('unfinished').hidden = !known.unfinished.length;
  document.getElementById('unfinished-table').replaceChildren(
    element('thead', {}, element('tr', {}, ...['status', 'run', 'reason'].map((name) => element('th', { class: 'text' }, name)))),
    element('tbody', {}, ...known.unfinished.map(({ status, name, reason }) => element('tr', {},
      element('td', { class: `text ${status}` }, status),
      element('td', { class: 'text wide' }, name),
      element('td', { class: 'text wide' }, reason)))),
  );
}

describe();
listStages();
listUnfinished();
buildFilters();
buildFrontier();
buildLayers();
refresh();
dark.addEventListener('change', refresh);
