// The details of one row: its figures, its layers, and each of its runs with config, record and pictures.

function openDetails(row) {
  const dialog = document.getElementById('details');
  const layers = element('div', { class: 'own-layers' });
  const run = element('div', { class: 'run' });
  dialog.replaceChildren(
    element('div', { class: 'top' },
      element('h2', { id: 'details-heading' }, rowTitle(row)),
      element('button', { type: 'button', class: 'close', onclick: () => dialog.close() }, 'close')),
    element('p', { class: 'note' }, `${row.model} on ${row.dataset}`),
    factsOf(row),
    ...(row.layers ? [element('h3', {}, 'Layers'), layers] : []),
    ...(row.runs.length ? [element('h3', {}, row.runs.length === 1 ? 'Run' : `${row.runs.length} runs`), runsOf(row, run), run] : []),
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  if (row.layers) drawOwnLayers(layers, row);
  if (row.runs.length) showRun(row.runs[0], run);
}

function factsOf(row) {
  const { figures } = row;
  const facts = [
    ...Object.entries(row.scores).map(([name, stat]) => [name, scoreText(stat)]),
    ['kept', figures.retention && `${withSpread(scaled(figures.retention, 100), decimals(1))} % of the dense model’s ${row.metric}`],
    ['published', row.published && publishedText(row.published)],
    ['speed-up', figures.speedup && `${withSpread(figures.speedup, decimals(2))}× (${row.setting}; ${row.devices.join('; ')})`],
    ['timed', row.besideOthers && 'while other jobs were running'],
    ['parameters', figures.parameters && withSpread(figures.parameters, short)],
    ['FLOPs', figures.flops && `${withSpread(figures.flops, short)} over ${row.flopsLength} tokens`],
    ['bytes', figures.disk_bytes && withSpread(figures.disk_bytes, short)],
    ['stored sparse', figures.sparse_bytes && withSpread(figures.sparse_bytes, short)],
    ['on the frontier', row.best.length && `of score and ${row.best.join(', ')}`],
    ['predecessor', row.dense ? null : row.predecessorSeed === null ? 'seeded like the run' : `seed ${row.predecessorSeed}`],
    ['differs in', row.differs.length && row.differs.join(', ')],
  ];
  return element('dl', {}, ...facts.filter(([, text]) => text).flatMap(([name, text]) => [
    element('dt', {}, name), element('dd', {}, String(text))]));
}

function runsOf(row, place) {
  const buttons = row.runs.map((run) => element('button', {
    type: 'button', 'aria-pressed': String(run === row.runs[0]),
    onclick: (event) => {
      for (const button of buttons) button.setAttribute('aria-pressed', String(button === event.currentTarget));
      showRun(run, place);
    },
  }, `seed ${known.runs[run].seed}${known.runs[run].score === null ? '' : `: ${scoreText([known.runs[run].score, null])}`}`));
  return element('div', { class: 'runs' }, ...buttons);
}

async function showRun(place, into) {
  const run = known.runs[place];
  into.dataset.run = place;
  const record = await recordOf(place);
  if (into.dataset.run !== String(place)) return; // another run was requested in the meantime
  const { config, ...rest } = record;
  const views = { config: yaml(config), record: JSON.stringify(rest, null, 2), steps: stepsOf(record) };
  const text = element('pre', { tabindex: 0 }, views.config);
  const tabs = Object.keys(views).map((name) => element('button', {
    type: 'button', role: 'tab', 'aria-selected': String(name === 'config'), 'data-view': name,
    onclick: (event) => {
      for (const tab of tabs) tab.setAttribute('aria-selected', String(tab === event.currentTarget));
      text.textContent = views[name];
    },
  }, name));
  into.replaceChildren(
    element('dl', {}, element('dt', {}, 'run'), element('dd', {}, run.name), element('dt', {}, 'folder'), element('dd', {}, run.folder)),
    element('div', { class: 'tabs', role: 'tablist' }, ...tabs),
    text,
    ...Object.entries(run.pictures).map(([name, src]) => element('figure', { style: 'margin: 0' },
      element('img', { src, alt: name, loading: 'lazy' }), element('figcaption', { class: 'note' }, name))),
  );
}

function stepsOf({ steps, seconds }) {
  const lines = steps.map((step) => [
    `${step.name}: ${step.seconds.toFixed(1)} s${step.examples ? `, ${step.examples} examples` : ''}`,
    ...Object.entries(step.scores ?? {}).map(([name, score]) => `  ${name} ${Number(score).toFixed(2)}`),
  ]);
  return [...lines.flat(), `total: ${seconds.toFixed(1)} s`].join('\n');
}

/** A config as readable YAML. */
function yaml(value, indent = '') {
  if (value === null || typeof value !== 'object') return scalar(value);
  if (Array.isArray(value)) return `[${value.map((each) => yaml(each).trim()).join(', ')}]`;
  return Object.entries(value).map(([key, each]) => {
    const nested = each !== null && typeof each === 'object' && !Array.isArray(each) && Object.keys(each).length;
    return `${indent}${key}:${nested ? `\n${yaml(each, `${indent}  `)}` : ` ${yaml(each, indent) || '{}'}`}`;
  }).join('\n');
}

function scalar(value) {
  return typeof value === 'string' && !/^[\w./+-][\w ./+-]*$/.test(value) ? JSON.stringify(value) : String(value);
}
