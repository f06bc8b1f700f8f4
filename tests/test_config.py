"""Settings: every one can be set from every source, and nothing unknown passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from robo_trader.config import Settings, load
from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import DAY_NS

OTHER = {
    "ibkr_host": "10.1.2.3",
    "ibkr_port": 4002,
    "ibkr_client_id": 8,
    "ibkr_account": "DU1234567",
    "ibkr_restart_window": "23:00-23:30 America/New_York",
    "execution_mode": "dry-run",
    "execution_algorithm": "twap",
    "risk_position_sizing": "fixed",
    "risk_regime_multipliers": "crash=0,bear=0.5",
    "strategy_fast": 5,
    "strategy_slow": 50,
    "strategy_allow_short": True,
    "ml_allow_unproven": True,
    "ml_models_dir": Path("elsewhere"),
    "ml_retrain": "off",
    "features_market": "QQQ",
    "features_sectors": "AAPL=XLK,JPM=XLF",
    "market_data_depth": "AAPL,NVDA",
    "practice_mode": "never",
    "practice_turn": "2026-01-05:3",
    "monitoring_log_format": "json",
    "monitoring_log_level": "DEBUG",
    "alert_webhook_url": SecretStr("https://hooks.example/T0"),
    "alert_smtp_host": "mail.example",
    "alert_smtp_user": "me",
    "alert_smtp_password": SecretStr("swordfish"),
    "alert_mail_from": "robo@example.org",
    "alert_mail_to": "me@example.org",
    "alert_apprise_urls": SecretStr("ntfy://robo tgram://1/2"),
    "robo_data_dir": Path("elsewhere"),
}


def another(name: str) -> object:
    """Return a value that differs from the default and is allowed."""
    default = Settings.model_fields[name].default
    if name in OTHER:
        return OTHER[name]
    return default + 1 if isinstance(default, int) else default * 0.9


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_can_be_set_by_environment_dotenv_and_toml(name: str, monkeypatch: pytest.MonkeyPatch):
    value = another(name)
    assert value != getattr(load(), name)
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    text = f'"{plain}"' if isinstance(plain, str | Path) else str(plain).lower()
    Path("robo_trader.toml").write_text(f"{name} = {text}\n")
    assert getattr(load(), name) == value
    Path("robo_trader.toml").unlink()
    Path(".env").write_text(f"{name.upper()}={plain}\n")
    assert getattr(load(), name) == value
    Path(".env").unlink()
    monkeypatch.setenv(name.upper(), str(plain))
    assert getattr(load(), name) == value


def test_a_flag_beats_the_environment_which_beats_dotenv_which_beats_toml(monkeypatch: pytest.MonkeyPatch):
    Path("robo_trader.toml").write_text("ibkr_port = 1\n")
    assert load().ibkr_port == 1
    Path(".env").write_text("IBKR_PORT=2\n")
    assert load().ibkr_port == 2
    monkeypatch.setenv("IBKR_PORT", "3")
    assert load().ibkr_port == 3
    assert load(ibkr_port=4).ibkr_port == 4


@pytest.mark.parametrize("source", ["toml", "dotenv", "environment"])
def test_an_unknown_setting_is_refused_wherever_it_stands(source: str, monkeypatch: pytest.MonkeyPatch):
    if source == "toml":
        Path("robo_trader.toml").write_text("ibkr_prot = 1\n")
    elif source == "dotenv":
        Path(".env").write_text("IBKR_PROT=1\n")
    else:
        monkeypatch.setenv("IBKR_PROT", "1")
    with pytest.raises(ConfigurationError, match="did you mean IBKR_PORT"):
        load()


def test_what_shares_are_compared_with_is_refused_where_it_is_no_symbol():
    assert load(features_sectors=" aapl=xlk, ").sectors() == {"AAPL": "XLK"}
    assert load(features_market=" spy ").features_market == "SPY"
    assert load(features_market="").features_market == ""
    with pytest.raises(ConfigurationError, match=r"FEATURES_SECTORS.*AAPL=XLK"):
        load(features_sectors="AAPL")
    with pytest.raises(ConfigurationError, match=r"FEATURES_MARKET.*no ticker"):
        load(features_market="S&P 500")


def test_depth_is_of_three_symbols_at_most_and_of_symbols():
    assert load(market_data_depth=" aapl,NVDA,, aapl, brk.b").depth() == ("AAPL", "NVDA", "BRK.B")
    assert load().depth() == ()
    with pytest.raises(
        ConfigurationError, match=r"MARKET_DATA_DEPTH.*4 symbols.*depth of 3 at a time: leave some"
    ):
        load(market_data_depth="AAPL,NVDA,MSFT,SPY")
    with pytest.raises(ConfigurationError, match=r"MARKET_DATA_DEPTH.*no ticker"):
        load(market_data_depth="AAPL;NVDA")


def test_regimes_take_away_and_never_add():
    assert load(risk_regime_multipliers=" Crash=0, bear=0.50,").regime_multipliers() == {
        "crash": 0.0,
        "bear": 0.5,
    }
    assert load(risk_regime_multipliers="").regime_multipliers() == {}
    for wrong in ("crash=1.5", "crash=-1", "crash", "panic=0.5", "crash=nan", "crash=0.5=0.5"):
        with pytest.raises(
            ConfigurationError, match=r"RISK_REGIME_MULTIPLIERS.*from 0 to 1, like crash=0.25"
        ):
            load(risk_regime_multipliers=wrong)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"features_market": "s&p"}, "FEATURES_MARKET: 's&p' is no ticker symbol like SPY"),
        (
            {"features_sectors": "jpm=xlf, aapl = aapl"},
            "FEATURES_SECTORS: 'aapl = aapl' compares a share with itself; name its sector, like AAPL=XLK",
        ),
        (
            {"features_sectors": "AAPL=XLK,AAPL=XLF"},
            "FEATURES_SECTORS: AAPL cannot have two sectors, XLK and XLF",
        ),
        ({"practice_turn": "soon:3"}, "PRACTICE_TURN: the market cannot turn on 'soon': write YYYY-MM-DD"),
        (
            {"risk_per_trade": 0.9},
            "RISK_PER_TRADE=0.9: it should be less than or equal to 0.05",
        ),
    ],
)
def test_a_complaint_is_one_clean_sentence(settings: dict[str, object], sentence: str):
    with pytest.raises(ConfigurationError) as raised:
        load(**settings)
    assert str(raised.value) == sentence


def test_blanks_around_names_and_signs_do_no_harm():
    assert load(features_sectors=" aapl = xlk ,, jpm =XLF ").features_sectors == "AAPL=XLK,JPM=XLF"


def test_vectors_are_kept_for_no_longer_than_a_century():
    assert load(features_keep_days=36_500).features_keep_days * DAY_NS < 2**63
    with pytest.raises(ConfigurationError, match="FEATURES_KEEP_DAYS"):
        load(features_keep_days=999_999)


def test_the_fast_average_must_be_the_shorter_one():
    with pytest.raises(ConfigurationError, match="shorter"):
        load(strategy_fast=20, strategy_slow=20)


def test_a_model_that_has_proven_nothing_is_never_traded_on_live(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ML_ALLOW_UNPROVEN", "true")
    assert load().ml_allow_unproven
    with pytest.raises(ConfigurationError, match="never traded on"):
        load(execution_mode="live")


def test_the_fingerprint_tells_configurations_apart():
    assert load().fingerprint() == load().fingerprint() != load(risk_per_trade=0.001).fingerprint()


def test_secrets_are_not_told_by_the_configuration_nor_by_a_complaint_about_it():
    settings = load(
        alert_webhook_url="https://hooks.example/T0",
        alert_smtp_password="swordfish",
        alert_apprise_urls="ntfy://robo",
    )
    told = settings.as_json() + settings.model_dump_json() + repr(settings)
    assert "T0" not in told
    assert "swordfish" not in told
    assert "ntfy" not in told
    with pytest.raises(ConfigurationError, match="ALERT_SMTP_PASSWORD") as complaint:
        load(alert_smtp_password=4711)
    assert "4711" not in str(complaint.value)
