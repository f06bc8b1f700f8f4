"""Names: whose money an account is, which files are its own, and which mixtures are refused."""

from __future__ import annotations

import tempfile
from os import W_OK, X_OK, access, environ, getuid
from pathlib import Path

from robo_trader.bootstrap.kill_switch import FILE_NAME, Address
from robo_trader.config import LIVE_PORTS, Settings
from robo_trader.core.errors import ConfigurationError

BAR_SIZES = {"1 min": 60, "5 mins": 300, "30 mins": 1800}
RUNTIME = Path("/run/user")  # where systemd makes each user's XDG_RUNTIME_DIR


def kind_of(account: str) -> str:
    """Tell practice (DUP…), paper (D…) and live accounts apart by name.

    >>> [kind_of(name) for name in ("DUP123456", "DU123456", "U123456")]
    ['practice', 'paper', 'live']
    """
    return "practice" if account.startswith("DUP") else "paper" if account.startswith("D") else "live"


def require_permitted(settings: Settings, account: str, confirmed: str) -> None:
    """Refuse every mixture of paper and live. Raises ConfigurationError saying which and what to do."""
    kind = kind_of(account)
    if settings.execution_mode == "paper" and kind == "live":
        raise ConfigurationError(
            f"{account} is a live account, the mode is paper: log TWS in to the paper account"
        )
    if settings.execution_mode != "live":
        return
    if kind != "live":
        raise ConfigurationError(f"--mode live with the {kind} account {account}: use --mode paper")
    if settings.ibkr_port not in LIVE_PORTS:
        raise ConfigurationError(
            f"--mode live on port {settings.ibkr_port}: live TWS is 7496, live IB Gateway 4001"
        )
    if confirmed != account:
        raise ConfigurationError(f"live trading must be confirmed: add --confirm-live {account}")


def database_path(settings: Settings, account: str) -> Path:
    """Name the database of an account; practice, paper, dry-run and live never share one."""
    kind = "dry-run" if settings.execution_mode == "dry-run" else kind_of(account)
    return settings.robo_data_dir / f"{kind}-{account}.db"


def model_name(account: str) -> str:
    """Name the models of an account's market: each practice market has its own, all real ones share theirs."""
    return f"practice-{account}" if kind_of(account) == "practice" else "ibkr"


def lock_path(name: str) -> Path:
    """Name a lock of this user on this machine, whatever directory a daemon was started in."""
    return _runtime_dir() / f"robo-trader-{getuid()}" / f"{name}.lock"


def _runtime_dir() -> Path:
    # cron, sudo and services leave the variable out: they must find the lock of a daemon that was started with it.
    of_login = RUNTIME / str(getuid())
    usual = of_login if access(of_login, W_OK | X_OK) else Path(tempfile.gettempdir())
    return Path(environ.get("XDG_RUNTIME_DIR") or usual)


def address_of(data_dir: Path, account: str) -> Address:
    """Name where the daemon of an account is reached; a dry run by the account it looks at."""
    path = lock_path(account.removeprefix("SIM-"))
    return Address(account, path.with_name(f"{path.stem}.sock"), path, data_dir / FILE_NAME)


def parse_symbols(text: str) -> tuple[str, ...]:
    """Split a list of ticker symbols. Raises ConfigurationError where none is left or one is no symbol.

    >>> parse_symbols("aapl, NVDA,AAPL")
    ('AAPL', 'NVDA')
    """
    symbols = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    if not symbols or not all(symbol.replace(".", "").isalnum() for symbol in symbols):
        raise ConfigurationError(f"--symbols {text!r}: expected ticker symbols like AAPL,NVDA")
    return symbols


def parse_bar_size(text: str) -> int:
    """Return the seconds of a TWS bar size. Raises ConfigurationError naming the sizes there are."""
    if text not in BAR_SIZES:
        raise ConfigurationError(f"--bar-size {text!r}: choose one of {', '.join(BAR_SIZES)}")
    return BAR_SIZES[text]


def require_bars_to_learn_from(use_ml: bool, bar_s: int) -> None:
    """Refuse models on bars so long that a session has hardly any. Raises ConfigurationError."""
    if use_ml and bar_s > BAR_SIZES["5 mins"]:
        raise ConfigurationError("--use-ml looks 30 bars ahead within a session: use bars of 1 or 5 minutes")


def parse_duration(text: str) -> float:
    """Return the seconds of `90`, `90s`, `15m` or `2h`. Raises ConfigurationError on anything else.

    >>> parse_duration("15m")
    900.0
    """
    number, unit = (text[:-1], text[-1:]) if text[-1:] in "smh" else (text, "s")
    try:
        return float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
    except ValueError:
        raise ConfigurationError(f"--run-for {text!r}: expected a time like 90s, 15m or 2h") from None
