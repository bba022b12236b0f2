// Which rows are shown: a menu each for method, model and data set, a search for words, and rows on a frontier only.

function buildFilters() {
  const bar = document.getElementById('filters');
  bar.append(...FACETS.map(menuOf));
  const change = (field, value) => { state[field] = value; state.page = 0; refresh(); };
  bar.append(
    element('input', {
      type: 'search', id: 'words', placeholder: 'search rows, such as logits 0.5', 'aria-label': 'Search rows', size: 28,
      oninput: delayed((event) => change('words', event.target.value)),
    }),
    element('label', {}, element('input', {
      type: 'checkbox', id: 'best-only', onchange: (event) => change('bestOnly', event.target.checked),
    }), ' on a frontier'),
    element('button', { type: 'button', id: 'reset', onclick: resetFilters }, 'show all'),
  );
  document.addEventListener('click', (event) => {
    for (const open of bar.querySelectorAll('details[open]')) if (!open.contains(event.target)) open.open = false;
  });
}

function menuOf(facet) {
  const counts = groupBy(known.rows.filter((row) => facet !== 'method' || !row.dense), (row) => row[facet]);
  const values = [...counts.keys()].sort();
  const boxes = values.map(() => element('input', { type: 'checkbox', checked: true, onchange: () => { choose(); refresh(); } }));
  const summary = element('summary', {}, `${facet}: all ${values.length}`);
  const setAll = (on) => { for (const box of boxes) box.checked = on; choose(); };
  const button = (name, on) => element('button', { type: 'button', onclick: () => { setAll(on); refresh(); } }, name);
  const menu = element('details', { class: 'filter', id: `filter-${facet}` }, summary, element('div', { class: 'options' },
    element('div', { class: 'both' }, button('all', true), button('none', false)),
    ...values.map((value, index) => element('label', {}, boxes[index],
      facet === 'method' ? swatch(value) : null, value, element('span', { class: 'count' }, String(counts.get(value).length))))));

  function choose() {
    const chosen = values.filter((value, index) => boxes[index].checked);
    const all = chosen.length === values.length;
    state.chosen[facet] = all ? null : new Set(chosen);
    state.page = 0;
    summary.textContent = `${facet}: ${all ? `all ${values.length}` : chosen.length === 1 ? chosen[0] : `${chosen.length} of ${values.length}`}`;
    menu.classList.toggle('chosen', !all);
  }
  menu.reset = () => setAll(true);
  return menu;
}

function resetFilters() {
  document.getElementById('words').value = '';
  document.getElementById('best-only').checked = false;
  Object.assign(state, { words: '', bestOnly: false });
  for (const menu of document.querySelectorAll('.filter')) menu.reset();
  refresh();
}

function swatch(method) {
  return element('span', { class: 'swatch', style: `background: ${colourOf(method)}` });
}

/** Once typing has paused. */
function delayed(act, milliseconds = 150) {
  let waiting;
  return (event) => { clearTimeout(waiting); waiting = setTimeout(act, milliseconds, event); };
}
