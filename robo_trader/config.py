"""Every setting of RoboTrader in one place: flag > environment > .env > robo_trader.toml > default."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.steps import Regime
from robo_trader.ibkr.restart_window import parse_window
from robo_trader.simulation.turn import Turn

PREFIXES = (
    "IBKR_",
    "EXECUTION_",
    "RISK_",
    "STRATEGY_",
    "ML_",
    "FEATURES_",
    "MARKET_DATA_",
    "PRACTICE_",
    "DASHBOARD_",
    "HUB_",
    "MONITORING_",
    "ALERT_",
    "ROBO_",
)
# Set by the daemon for its own child processes, never by a user.
INTERNAL = frozenset({"ROBO_HUB_TOKEN"})
_SYMBOL = re.compile(r"[A-Z0-9]+(\.[A-Z0-9]+)?")
LIVE_PORTS = frozenset({7496, 4001})
_SHARE = re.compile(r"0(\.\d+)?|1(\.0+)?")
MOST_DEPTH_LINES = 3  # of any login; more are bought with market data boosters
# The averages that are computed; the environment gives their lengths as text.
AverageBars = Annotated[Literal[5, 10, 20, 50], BeforeValidator(int)]


def _restart_window(text: str) -> str:
    try:
        parse_window(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return text


def _market(text: str) -> str:
    if not _SYMBOL.fullmatch(text.strip().upper() or "X"):
        raise ValueError(f"{text.strip()!r} is no ticker symbol like SPY")
    return text.strip().upper()


def _sectors(text: str) -> str:
    found: dict[str, str] = {}
    for pair in filter(str.strip, text.split(",")):
        share, _, sector = (part.strip() for part in pair.upper().partition("="))
        if not (_SYMBOL.fullmatch(share) and _SYMBOL.fullmatch(sector)):
            raise ValueError(
                f"{pair.strip()!r} is no share with what stands for its sector, like AAPL=XLK; commas separate them"
            )
        if share == sector:
            raise ValueError(f"{pair.strip()!r} compares a share with itself; name its sector, like AAPL=XLK")
        if found.setdefault(share, sector) != sector:
            raise ValueError(f"{share} cannot have two sectors, {found[share]} and {sector}")
    return ",".join(f"{share}={sector}" for share, sector in found.items())


def _multipliers(text: str) -> str:
    pairs = [pair.strip().lower() for pair in text.split(",") if pair.strip()]
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in set(Regime) or not _SHARE.fullmatch(value):
            known = ", ".join(Regime)
            raise ValueError(
                f"{pair!r}: expected a regime ({known}) and a number from 0 to 1, like crash=0.25"
            )
    return ",".join(pairs)


def _depth(text: str) -> str:
    symbols = list(dict.fromkeys(symbol.strip().upper() for symbol in text.split(",") if symbol.strip()))
    for symbol in symbols:
        _market(symbol)
    if len(symbols) > MOST_DEPTH_LINES:
        raise ValueError(
            f"{len(symbols)} symbols, and TWS shows the depth of {MOST_DEPTH_LINES} at a time: leave some out"
        )
    return ",".join(symbols)


def _turn(text: str) -> str:
    try:
        return str(Turn.read(text)) if text else text
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


class Settings(BaseSettings):
    """All settings; the environment's name of each is its name here in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", toml_file="robo_trader.toml", extra="forbid", frozen=True, case_sensitive=False
    )

    ibkr_host: str = Field("127.0.0.1", description="Host of TWS or IB Gateway")
    ibkr_port: int = Field(
        7497, ge=0, le=65535, description="7497 paper TWS, 7496 live TWS, 4002 and 4001 IB Gateway"
    )
    ibkr_client_id: int = Field(7, ge=1, description="API client id; keep it the same from start to start")
    ibkr_account: str = Field("", description="Account to trade; empty takes the only one of the login")
    ibkr_connect_timeout_s: float = Field(
        10.0, gt=0, description="Longest wait for one TWS handshake, seconds"
    )
    ibkr_give_up_s: float = Field(
        60.0, ge=0, description="How long to retry a TWS that cannot be reached, seconds"
    )
    ibkr_heartbeat_s: float = Field(
        5.0, gt=0, description="How often the session is asked for a sign of life, seconds"
    )
    ibkr_logins_per_hour: int = Field(
        12, ge=1, le=3600, description="Most logins in any hour, finished or refused; then the next one waits"
    )
    ibkr_restart_window: Annotated[str, AfterValidator(_restart_window)] = Field(
        "23:45-00:45 America/New_York",
        description="When TWS restarts each day: nothing is opened and no silence alarms; empty for never",
    )
    ibkr_restart_lead_s: float = Field(
        300.0, ge=0, description="How long before the restart nothing new is opened any more, seconds"
    )

    execution_mode: Literal["paper", "dry-run", "live"] = Field("paper", description="Where orders go")
    execution_algorithm: Literal["auto", "market", "twap"] = Field(
        "auto", description="How parents are worked; auto takes TWAP for what is large against a bar's volume"
    )
    execution_twap_slices: int = Field(5, ge=1, description="Pieces of a TWAP order")
    execution_twap_duration_s: float = Field(
        300.0, ge=0, description="Length of a TWAP order, seconds of market time"
    )
    execution_twap_above: float = Field(
        0.01, gt=0, description="auto: TWAP above this share of a bar's usual volume"
    )

    risk_position_sizing: Literal["atr", "fixed", "kelly"] = Field(
        "atr", description="How positions are sized; kelly needs --use-ml, and bounds what atr allows"
    )
    risk_per_trade: float = Field(
        0.002, gt=0, le=0.05, description="ATR and Kelly sizing: risk of one position, fraction of equity"
    )
    risk_kelly_fraction: float = Field(
        0.25, gt=0, le=1, description="Kelly sizing: share of Kelly's fraction that is risked"
    )
    risk_regime_multipliers: Annotated[str, AfterValidator(_multipliers)] = Field(
        "crash=0.25,volatile=0.5",
        description="Kelly sizing: what a regime leaves of a size; the least of them where none is known",
    )
    risk_atr_multiple: float = Field(
        3.0, gt=0, description="Distance in ATRs at which a position counts as wrong: its protective stop"
    )
    risk_stop_fallback: float = Field(
        0.05, gt=0, lt=1, description="Distance of a stop where no ATR is known, fraction of the price"
    )
    risk_target_fraction: float = Field(
        0.10, gt=0, le=1, description="Largest position the sizer asks for, of equity"
    )
    risk_min_notional_usd: float = Field(
        1_000.0, ge=0, description="Smallest position worth its commission, USD"
    )
    risk_max_order_notional_usd: float = Field(25_000.0, gt=0, description="Gate: largest single order, USD")
    risk_max_position_fraction: float = Field(
        0.20, gt=0, description="Gate: largest position, fraction of equity"
    )
    risk_max_daily_loss_fraction: float = Field(
        0.03, ge=0, description="Gate: loss of a session that stops entries"
    )
    risk_max_heat_fraction: float = Field(
        0.06, gt=0, description="Gate: largest portfolio heat, fraction of equity"
    )
    risk_max_price_age_s: float = Field(180.0, gt=0, description="Gate: oldest price to trade on, seconds")

    strategy_fast: AverageBars = Field(10, description="SMA crossover: fast average, bars")
    strategy_slow: AverageBars = Field(20, description="SMA crossover: slow average, bars")
    strategy_allow_short: bool = Field(False, description="Whether strategies may sell short")

    ml_threshold: float = Field(0.65, gt=0.5, lt=1, description="Calibrated probability a vote must reach")
    ml_allow_unproven: bool = Field(
        False, description="Trade on a model that has proven nothing, each signal marked UNPROVEN; never live"
    )
    ml_history_days: int = Field(60, ge=3, description="Sessions of bars to train on when there is no model")
    ml_drift_share: float = Field(
        0.05, gt=0, lt=1, description="Share of the model's features that may drift before there is an alarm"
    )
    ml_max_age_days: int = Field(
        30,
        ge=0,
        description="Days of market time after which a model that was not renewed expires: it enters nothing; 0 for never",
    )
    ml_retrain: Literal["on", "off"] = Field(
        "on",
        description="Whether the daemon trains a challenger after each close, which replaces the model if it is better",
    )
    ml_retrain_after_min: int = Field(
        30,
        ge=0,
        le=900,
        description="How long after the close of the exchange that begins, minutes of market time",
    )
    ml_shadow_bars: int = Field(
        300,
        ge=30,
        description="Bars on which a challenger must have voted beside the model, outcome known, to replace it",
    )
    ml_models_dir: Path = Field(Path("trained_models"), description="Where trained models live")

    features_market: Annotated[str, AfterValidator(_market)] = Field(
        "SPY", description="What shares are compared with: watched, never traded; empty for nothing"
    )
    features_sectors: Annotated[str, AfterValidator(_sectors)] = Field(
        "", description="What stands for the sectors of shares, watched as well, such as AAPL=XLK,JPM=XLF"
    )
    features_sessions: int = Field(
        0, ge=0, le=40, description="Past sessions that features are warmed with; 0 for as many as they need"
    )
    features_keep_days: int = Field(
        90,
        ge=0,
        le=36_500,
        description="How long vectors, and what a start knew, are kept in the database, days of market time; 0 for ever",
    )

    market_data_depth: Annotated[str, AfterValidator(_depth)] = Field(
        "",
        description="Whose order book is watched for the features of depth: at most three such as AAPL,NVDA; each"
        " needs a subscription to depth at the broker",
    )

    practice_mode: Literal["auto", "always", "never"] = Field(
        "auto", description="Start the practice gateway: auto where nothing listens and no TWS was named"
    )
    practice_speed: float = Field(
        60.0, gt=0, description="Practice market: seconds of market time per second"
    )
    practice_seed: int = Field(1, ge=0, description="Practice market: seed of the synthetic market")
    practice_edge: float = Field(
        1.0, ge=0, le=1, description="Practice market: strength of the planted edge, 0 is none"
    )

    practice_turn: Annotated[str, AfterValidator(_turn)] = Field(
        "", description="Practice market: YYYY-MM-DD:3 makes it three times as loud from that session on"
    )

    dashboard_port: int = Field(5555, ge=1, le=65535, description="Port of the page on 127.0.0.1")
    hub_port: int = Field(8765, ge=1, le=65535, description="Port of the WebSocket hub on 127.0.0.1")

    monitoring_log_format: Literal["console", "json"] = Field("console", description="How logs are written")
    monitoring_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level logged"
    )

    alert_blind_s: float = Field(
        30.0, gt=0, le=60, description="Tell of a lost session or a silent market after this long, seconds"
    )
    alert_webhook_url: SecretStr = Field(
        SecretStr(""), description="Alerts are posted here as JSON (Slack, Mattermost, Discord, your own)"
    )
    alert_smtp_host: str = Field("", description="Mail server that sends alerts; empty sends no mail")
    alert_smtp_port: int = Field(
        587, ge=1, le=65535, description="Mail port: 465 is TLS from the start, 587 demands STARTTLS"
    )
    alert_smtp_user: str = Field("", description="Login at the mail server; empty logs in nowhere")
    alert_smtp_password: SecretStr = Field(SecretStr(""), description="Password at the mail server")
    alert_mail_from: str = Field("", description="Sender of alert mails")
    alert_mail_to: str = Field("", description="Receivers of alert mails, comma separated")
    alert_apprise_urls: SecretStr = Field(
        SecretStr(""),
        description="Services of the extra apprise, separated by spaces (see its documentation)",
    )

    robo_data_dir: Path = Field(
        Path("data"), description="Where databases, locks and the practice state live"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Rank the sources: flags, environment, .env, robo_trader.toml."""
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def names_a_broker(self) -> bool:
        """Whether the user named a TWS host or port, so that no practice market may stand in for it."""
        return bool({"ibkr_host", "ibkr_port"} & self.model_fields_set)

    def sectors(self) -> dict[str, str]:
        """Return by share what stands for its sector."""
        return dict(pair.split("=") for pair in self.features_sectors.split(",") if pair)

    def regime_multipliers(self) -> dict[str, float]:
        """Return by regime what it leaves of a size."""
        pairs = (pair.split("=") for pair in self.risk_regime_multipliers.split(",") if pair)
        return {name: float(value) for name, value in pairs}

    def depth(self) -> tuple[str, ...]:
        """Return whose order book is watched."""
        return tuple(symbol for symbol in self.market_data_depth.split(",") if symbol)

    def fingerprint(self) -> str:
        """Return a short hash of the effective configuration."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()[:12]

    def as_json(self) -> str:
        """Return the effective configuration as JSON with sorted keys."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)


def load(**flags: Any) -> Settings:
    """Read the settings, flags first (None means not given). Raises ConfigurationError naming what to mend."""
    _refuse_unknown_environment()
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(dict(e)) for e in error.errors())) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"robo_trader.toml or .env cannot be read: {error}") from error
    if settings.strategy_fast >= settings.strategy_slow:
        raise ConfigurationError("STRATEGY_FAST must be shorter than STRATEGY_SLOW")
    if settings.ml_allow_unproven and settings.execution_mode == "live":
        raise ConfigurationError(
            "ML_ALLOW_UNPROVEN is for paper and practice: live, a model that has proven nothing is never traded on; take "
            "it out, or leave EXECUTION_MODE=live"
        )
    return settings


def env_example() -> str:
    """Write .env.example from the settings: each with its meaning and its default, commented out."""
    lines = [
        "# Settings of RoboTrader and their defaults: copy to .env and uncomment what you change.",
        "# A flag beats the environment, which beats .env, which beats robo_trader.toml. Unknown names are refused.",
    ]
    for name, field in Settings.model_fields.items():
        lines += ["", f"# {field.description}", f"# {name.upper()}={field.default}"]
    return "\n".join(lines) + "\n"


def _refuse_unknown_environment() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIXES) and name not in known | INTERNAL:
            raise ConfigurationError(f"environment variable {name} is no setting of RoboTrader{_meant(name)}")


def _explain(error: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in error["loc"]).upper()
    if error["type"] == "extra_forbidden":
        return f"{name} is no setting of RoboTrader{_meant(name)}"
    if isinstance(why := error.get("ctx", {}).get("error"), ValueError):
        return f"{name}: {why}"
    field = Settings.model_fields.get(name.lower())
    secret = field is not None and field.annotation is SecretStr
    return f"{name}={'***' if secret else repr(error['input'])}: {error['msg'].replace('Input should', 'it should')}"


def _meant(name: str) -> str:
    close = difflib.get_close_matches(name, [n.upper() for n in Settings.model_fields], n=1)
    return f"; did you mean {close[0]}?" if close else "; .env.example lists them all"
