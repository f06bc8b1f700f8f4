"""How settings become the sizer of a session, the same after it was written down."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from robo_trader.bootstrap import plan
from robo_trader.config import load
from robo_trader.core.errors import ConfigurationError
from robo_trader.core.protocols import Reading, Sizing
from robo_trader.core.steps import Payoff, Regime, Signal
from tests.risk.test_gates import Seen

VOLATILE = Reading(Regime.VOLATILE, "at rank 0.95")


def planned(use_ml: bool = True, **settings: object) -> plan.Plan:
    return plan.build_plan(
        load(**settings), session_id="s", account="DU1", traded=("NVDA",), ticks={"NVDA": Decimal("0.01")},
        bar_s=60, interval_s=60, use_ml=use_ml, model=None,
    )  # fmt: skip


def sized(the_plan: plan.Plan, p: float = 0.52, weather: Reading = VOLATILE) -> Sizing:
    kept = plan.read_plan("s", json.loads(plan.to_json(the_plan)))
    assert kept == the_plan
    signal = Signal(0, "NVDA", "ml", 1, 1.0, "why", p, payoff=Payoff(40.0, 40.0, 2000))
    return plan.build_engine(kept)._parts.sizer.size(signal, Seen(weather=weather))


def test_the_share_of_kelly_and_what_regimes_leave_are_settings():
    by_default = sized(planned(risk_position_sizing="kelly"))
    assert by_default.steps["risked_fraction"] == pytest.approx(
        0.25 * by_default.steps["evidence"] * by_default.steps["kelly_fraction"]
    )
    assert by_default.steps["regime_multiplier"] == 0.5
    tenth = sized(planned(risk_position_sizing="kelly", risk_kelly_fraction=0.025))
    assert tenth.steps["risked_fraction"] == pytest.approx(by_default.steps["risked_fraction"] / 10)
    none = sized(planned(risk_position_sizing="kelly", risk_regime_multipliers="volatile=0"))
    assert none.shares == 0
    hot = sized(planned(risk_position_sizing="kelly", risk_max_heat_fraction=0.001))
    assert hot.steps["shares_by_heat"] == pytest.approx(100_000 * 0.001 / 3.0)


def test_kelly_without_a_model_is_refused_at_the_start_with_the_remedy():
    with pytest.raises(ConfigurationError, match=r"RISK_POSITION_SIZING=kelly .* --use-ml"):
        planned(use_ml=False, risk_position_sizing="kelly")
    assert "regime_multiplier" not in sized(planned()).steps
