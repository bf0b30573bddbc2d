"""Addresses that lead to a project and a screen: ``?project=3&screen=studio``."""

from collections.abc import Mapping, Sequence

from dyod_studio.errors import InvalidInputError

LINKS = """
() => {
  const tabs = '#screens > .tab-wrapper [role=tablist]';
  const write = () => {
    const url = new URL(location.href);
    const now = {
      project: document.querySelector('#switcher [data-project]')?.dataset.project,
      screen: document.querySelector(`${tabs} [aria-selected=true]`)?.dataset.tabId,
    };
    for (const [name, value] of Object.entries(now)) if (value) url.searchParams.set(name, value);
    if (url.href !== location.href) history.replaceState(history.state, '', url);
  };
  const seen = {childList: true, subtree: true, attributeFilter: ['aria-selected', 'data-project']};
  const observer = new MutationObserver(write);
  for (const place of ['#switcher', '#screens > .tab-wrapper'])
    observer.observe(document.querySelector(place), seen);
  document.addEventListener('click', event => {
    const screen = event.target.closest('[data-go]')?.dataset.go;
    if (screen) document.querySelector(`${tabs} [data-tab-id="${screen}"]`)?.click();
  });
}
"""
"""Runs in the browser: keeps the address in step with what is open, and lets whatever has
``data-go`` lead to the screen that it names."""


def project_in(query: Mapping[str, str]) -> int | None:
    """The project that an address asks for; None when it asks for none.

    Raises:
        InvalidInputError: it is no number.
    """
    asked = query.get("project", "").strip()
    if not asked:
        return None
    if not (asked.isascii() and asked.isdecimal() and len(asked) < 19):
        raise InvalidInputError(f"The address asks for project {asked[:40]!r}, which is no number.")
    return int(asked)


def screen_in(query: Mapping[str, str], screens: Sequence[str]) -> str | None:
    """The screen that an address asks for; None when it asks for none.

    Raises:
        InvalidInputError: there is no such screen.
    """
    asked = query.get("screen", "").strip()
    if not asked or asked in screens:
        return asked or None
    known = ", ".join(screens)
    raise InvalidInputError(f"There is no screen {asked[:40]!r}; there are {known}.")
