// Elements and figures. Names from records only ever become text; nothing here parses HTML.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Escapes text for Plotly, which interprets some HTML in its texts as markup. */
function plain(text) {
  return String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const UNITS = [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];

/** Three digits and a unit; a spread is formatted with the unit and the digits of its mean. */
function short(value, mean = value) {
  const [size, unit] = UNITS.find(([least]) => Math.abs(mean) >= least) ?? [1, ''];
  const before = Math.floor(Math.log10(Math.abs(mean / size) || 1)) + 1;
  return (value / size).toFixed(unit ? Math.max(0, 3 - before) : 0) + unit;
}

function decimals(digits) {
  return (value) => value.toFixed(digits);
}

/** A mean with its spread, which is omitted if it would read as zero. */
function withSpread(stat, format) {
  if (!stat) return '–';
  const spread = stat[1] === null ? '' : format(stat[1], stat[0]);
  return format(stat[0]) + (Number.parseFloat(spread) ? ` ± ${spread}` : '');
}

/** Scores are percentages or fractions: both are shown with three or four digits. */
function scoreText(stat) {
  return withSpread(stat, decimals(stat && Math.abs(stat[0]) > 1 ? 1 : 3));
}

function amount(row) {
  return row.sparsity === null ? '–' : String(row.sparsity);
}

function rowTitle(row) {
  return `${row.label}${row.sparsity === null ? '' : `, sparsity ${row.sparsity}`}`;
}

function fillSelect(id, options, change) {
  const select = document.getElementById(id);
  for (const [value, { label }] of Object.entries(options)) select.append(element('option', { value }, label));
  select.addEventListener('change', change);
  return select;
}

const dark = window.matchMedia('(prefers-color-scheme: dark)');

/** A method's colour, lighter on a dark background; the dense model has the text's colour. */
function colourOf(method) {
  const { colour } = known.looks[method];
  if (method === DENSE) return css('--ink');
  if (!dark.matches) return colour;
  const parts = [1, 3, 5].map((start) => Number.parseInt(colour.slice(start, start + 2), 16));
  return `rgb(${parts.map((part) => Math.round(part + (255 - part) * 0.35)).join(', ')})`;
}

const colours = new Map();
dark.addEventListener('change', () => colours.clear());

/** A colour of the style sheet, as the browser resolves it for the current colour scheme. */
function css(name) {
  if (!colours.has(name)) colours.set(name, resolved(name));
  return colours.get(name);
}

function resolved(name) {
  const probe = element('span', { style: `color: var(${name})` });
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** What all Plotly pictures share. */
function layoutOf(changes) {
  const [ink, faint, line, paper] = ['--ink', '--faint', '--line', '--paper'].map(css);
  const axis = {
    gridcolor: line, linecolor: faint, zeroline: false, tickfont: { color: faint, size: 12 }, automargin: true,
  };
  return {
    axis,
    layout: {
      paper_bgcolor: paper, plot_bgcolor: paper, font: { family: 'system-ui, "DejaVu Sans", sans-serif', size: 13, color: ink },
      hoverlabel: { bgcolor: paper, bordercolor: faint, font: { color: ink, size: 13 }, align: 'left' },
      hovermode: 'closest', ...changes,
    },
  };
}

// No figures leave the page: Plotly's button that uploads a chart to its makers is removed.
const PLOTLY = {
  displaylogo: false, responsive: true, plotlyServerURL: '',
  modeBarButtonsToRemove: ['sendChartToCloud', 'select2d', 'lasso2d', 'autoScale2d'],
};
