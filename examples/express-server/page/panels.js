// The list on the left of a narrow screen, the shade behind it, and the appearance.

import { byId, load, save } from './dom.js';

/** The shade lies below any panel that covers the messages. */
export function showScrim() {
  const keysCover = !byId('keys').hidden && matchMedia('(max-width: 1100px)').matches;
  byId('scrim').hidden = !keysCover && !byId('sidebar').classList.contains('is-open');
}

export function toggleSidebar(open) {
  byId('sidebar').classList.toggle('is-open', open);
  byId('open-sidebar').setAttribute('aria-expanded', String(open));
  showScrim();
}

export function setUpPanels({ closeKeys, onEscape }) {
  byId('open-sidebar').addEventListener('click', () => {
    toggleSidebar(true);
    byId('new-session').focus();
  });
  byId('close-sidebar').addEventListener('click', () => {
    toggleSidebar(false);
    byId('open-sidebar').focus();
  });
  const closeAll = () => {
    toggleSidebar(false);
    closeKeys();
  };
  byId('scrim').addEventListener('click', closeAll);
  addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || document.querySelector('dialog[open]')) return;
    if (byId('scrim').hidden) onEscape();
    else closeAll();
  });
  addEventListener('resize', showScrim);
}

export function setUpTheme() {
  const theme = byId('theme');
  const show = () => {
    document.documentElement.style.colorScheme = theme.value;
  };
  theme.value = load('theme', 'light dark');
  theme.addEventListener('change', () => {
    save('theme', theme.value);
    show();
  });
  show();
}
