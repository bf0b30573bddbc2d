// Every frame of a strip is in the page already: a slider only says which one is shown, so the
// picture follows the hand and nobody is asked. The server hears where a trait's slider has come to
// rest ("select"), never where it passes. Runs in the browser as the js_on_load of one gr.HTML.
const REST_MS = 150;
const walks = (window.dyodWalks ??= {listeners: [], dragged: null});
for (const [name, listener] of walks.listeners) document.removeEventListener(name, listener);
walks.listeners = [];
const on = (name, listener) => {
  document.addEventListener(name, listener);
  walks.listeners.push([name, listener]);
};
const framesOf = walk => [...walk.querySelectorAll('.film img')];
const rangeOf = walk => walk.querySelector('input[type=range]');

const place = (panel, source) => {
  const picture = panel.querySelector('.stage img');
  if (source && picture.src !== source) picture.src = source;
  picture.hidden = !source;
};
const show = (walk, value) => {
  const frames = framesOf(walk);
  if (!frames.length) return;
  const far = frame => Math.abs(Number(frame.dataset.at) - value);
  const nearest = frames.reduce((best, frame) => (far(frame) < far(best) ? frame : best));
  for (const frame of frames) frame.classList.toggle('is-here', frame === nearest);
  place(walk.closest('.walk-panel'), nearest.src);
};

// Whether the picture of a place was drawn where the traits' sliders stand now.
const isWhereTheyStand = (panel, film) => {
  const moved = JSON.parse(film.dataset.moved);
  return [...panel.querySelectorAll('.walk.trait')].every(
    (walk, rank) => Math.abs(Number(rangeOf(walk)?.value ?? 0) - (moved[rank] ?? 0)) < 1e-6);
};

// After the server has sent frames: the stage shows the picture of the slider, or of the place. One
// of a place that the sliders have left is still on its way when a hand has just let go of them.
walks.settle = film => {
  const panel = film.closest('.walk-panel');
  if (!panel || (walks.dragged && panel.contains(walks.dragged))) return;
  for (const walk of panel.querySelectorAll('.walk:not(.trait)')) show(walk, Number(rangeOf(walk)?.value));
  const here = panel.querySelector('.here img');
  if (here && isWhereTheyStand(panel, here.closest('.film'))) place(panel, here.src);
  if (!panel.querySelector('.film img')) place(panel, null);
};

on('input', event => {
  const walk = event.target.closest?.('.walk');
  if (!walk || !event.target.matches('input[type=range], input[type=number]')) return;
  walks.dragged = walk;
  show(walk, Number(event.target.value));
});
let resting = 0;
on('change', event => {
  const walk = event.target.closest?.('.walk');
  if (!walk || !event.target.matches('input[type=range], input[type=number]')) return;
  walks.dragged = null;
  if (!walk.matches('.trait')) return;
  clearTimeout(resting);
  resting = setTimeout(() => trigger('select'), REST_MS);
});
on('click', event => {
  const frame = event.target.closest?.('.walk .film img');
  const range = frame && rangeOf(frame.closest('.walk'));
  if (!range || range.disabled) return;
  range.value = frame.dataset.at;
  for (const name of ['input', 'change']) range.dispatchEvent(new Event(name, {bubbles: true}));
});
