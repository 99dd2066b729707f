"""The question in the page's address, which can be sent."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mica_lake.errors import near


class Given:
    """
    What fields are filled in with: what the address gives, if that can be.

    Parameters
    ----------
    values : mapping
        A text, or several, by the name of the field.
    complaints : list of str
        Where to say what cannot be.
    """

    def __init__(self, values: Mapping[str, str | list[str]], complaints: list[str]) -> None:
        self._values, self._complaints = values, complaints

    def __bool__(self) -> bool:
        return bool(self._values)

    def text(self, name: str, default: str) -> str:
        """A text."""
        value = self._values.get(name, default)
        return value if isinstance(value, str) else value[-1]

    def chosen(self, name: str, options: Iterable[str], default: str | None) -> str | None:
        """One of some options."""
        found = self.several(name, options, [])
        return found[-1] if found else default

    def several(self, name: str, options: Iterable[str], default: list[str]) -> list[str]:
        """Some of some options."""
        value, options = self._values.get(name), list(options)
        if value is None:
            return default
        texts = [value] if isinstance(value, str) else value
        for text in texts:
            if text not in options:
                self._complaints.append(
                    f"the address asks for {name} {text!r}, which there is not{near(text, options)}"
                )
        return [text for text in texts if text in options]


class Link:
    """
    The tab and the question in the address of a page: those that it was opened with, and then those that are shown.

    Examples
    --------
    >>> link = Link({"tab": "Ask", "table": "hdr3"})
    >>> link.given("Ask", table="hdr3").text("start", "2024:001")
    '2024:001'
    """

    def __init__(self, address: Any) -> None:
        self._address = address  # marimo's parameters, or a dictionary
        opened = {key: address.get(key) for key in list(address)}
        self.tab = str(opened.pop("tab", ""))
        self._opened: dict[str, Any] = opened
        self._asked: dict[str, dict[str, Any]] = {}
        self.complaints: list[str] = []

    def given(self, tab: str, **same: str | None) -> Given:
        """What the page was opened with for a tab, if the rest is the same."""
        mine = tab == self.tab and all(self._opened.get(name, value) == value for name, value in same.items())
        return Given(self._opened if mine else {}, self.complaints)

    def complaints_for(self, show: Callable[[str], Any], tab: str) -> list[Any]:
        """What is to be said of a tab's part of the address."""
        return [show(text) for text in self.complaints] if tab == self.tab else []

    def question(self, tab: str, form: Any, **same: str) -> dict[str, Any] | None:
        """What a form was sent with, or else filled in with from the address; it is then in the address."""
        question: dict[str, Any] | None = form.value
        if question is None and self.given(tab, **same):
            question = form.element.value
        if question is not None:
            times = () if question.get("obsid") is None or not question["obsid"].strip() else ("start", "stop")
            self.put(tab, **same, **{name: value for name, value in question.items() if name not in times})
        return question

    def put(self, tab: str, **values: Any) -> None:
        """Put a question into the address."""
        self._asked[tab] = {
            name: list(map(str, value)) if isinstance(value, list | tuple) else str(value)
            for name, value in values.items()
            if value not in (None, "", [], ())
        }
        self.show(tab)

    def show(self, tab: str) -> None:
        """Put a tab with its last question into the address."""
        new = {"tab": tab, **self._asked.get(tab, {})}
        for name in list(self._address):
            if name not in new:
                del self._address[name]
        for name, value in new.items():
            if self._address.get(name) != value:
                self._address[name] = value
