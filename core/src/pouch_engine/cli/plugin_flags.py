"""The flags that installed plugins offer, as the daemon tells them at GET /pouch/options."""

from __future__ import annotations

from pouch_engine.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client

_KINDS = {"boolean": "bool", "list": "list", "map": "list"}
_METAVARS = {"integer": "INTEGER", "number": "NUMBER", "size": "SIZE", "map": "KEY=VALUE"}


def plugin_flags(client: Client, command: str) -> list[Flag]:
    """Return the flags that plugins offer for `command`. Raises CommandError when no daemon answers.

    Values are sent as the user wrote them (texts; lists of texts for lists and maps; booleans): the daemon, which has
    the plugin's model, judges them.
    """
    options = client.get("/pouch/options")["options"]
    return [_flag(option) for option in options if option.get("flag") and command in option.get("commands", ())]


def _flag(option: dict[str, Any]) -> Flag:
    kind = option.get("type", "string")
    default = option.get("default")
    return Flag(
        option["flag"],
        "",
        _KINDS.get(kind, "str"),
        f"{option.get('help') or ''} [{option['plugin']}]".strip(),
        default=None if kind in _KINDS or default is None else str(default),
        metavar=_METAVARS.get(kind, "TEXT" if kind in ("string", "list") else ""),
        aliases=tuple(option.get("aliases") or ()),
        source=(option["plugin"], option["field"]),
    )
