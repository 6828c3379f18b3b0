"""Reports of made-up numbers: no essay was scored for them."""

import numpy as np

from trm_aes.attacks.effects import AttackEffect
from trm_aes.evaluation.bootstrap import Estimate
from trm_aes.evaluation.confidence import Confidence
from trm_aes.evaluation.coverage import SetCoverage
from trm_aes.evaluation.reliability import ReliabilityBin
from trm_aes.evaluation.review import ReviewPoint, ReviewRoute, ReviewTarget
from trm_aes.report.record import (
    AdvisoryRow,
    Drift,
    DriftRow,
    ErrorRow,
    Flag,
    GroupColumn,
    GroupRow,
    PromptAgreement,
    RaterPair,
    Report,
    Subject,
    TraitAgreement,
)

# What a user may call things: markup, a dollar, a letter that no font has, a word that no line can break.
LONG_NAME = "an-id-as-long-as-a-line-without-any-place-to-break-it-" * 3
NASTY = "<script>alert('x')</script> & $\\frac{a}$ \x07\U000f0000"


def about(value, width=0.04):
    return Estimate(value=value, low=value - width, high=value + width)


NONE = Estimate(value=None)
MEASURES = {
    "qwk": about(0.788, 0.035), "qwk_continuous": about(0.812, 0.03), "exact": about(0.604, 0.05),
    "adjacent": about(0.981, 0.015), "pearson": about(0.815, 0.03), "rmse": about(0.71), "smd": about(-0.052, 0.06),
    "rater_qwk": about(0.752, 0.04), "degradation_qwk": about(-0.036, 0.05), "degradation_pearson": about(-0.05, 0.05),
    "disattenuated_pearson": about(0.934, 0.03), "prmse": about(0.861, 0.05), "ceiling_qwk": about(0.871),
    "length_qwk": about(0.612), "ridge_qwk": about(0.774),
}  # fmt: skip


def made_up_agreement(prompt_id, levels=6, n=300, seed=0):
    draw = np.random.default_rng(seed)
    human = np.clip(np.round(draw.normal(levels / 2, levels / 5, n)), 0, levels - 1).astype(int)
    predicted = np.clip(human + draw.normal(0, 0.6, n), 0, levels - 1)
    confusion = np.zeros((levels, levels), dtype=int)
    np.add.at(confusion, (human, np.round(predicted).astype(int)), 1)
    level_rows = [
        ErrorRow(label=str(level + 1), n=int((human == level).sum()), mean_error=about(0.4 - 0.15 * level, 0.1), rmse=about(0.6))
        for level in range(levels)
    ]  # fmt: skip
    words = [(20, 100), (101, 180), (181, 240), (241, 330), (331, 900)]
    length_rows = [
        ErrorRow(label=f"{low} to {high} words", n=n // 5, mean_error=about(-0.1 + 0.05 * place, 0.1), rmse=about(0.6))
        for place, (low, high) in enumerate(words)
    ]
    return PromptAgreement(
        prompt_id=prompt_id,
        n=n,
        measures=MEASURES,
        labels=[str(level + 1) for level in range(levels)],
        confusion=confusion.tolist(),
        scatter=np.stack([human + 1, predicted + 1], axis=1).tolist(),
        by_level=level_rows,
        by_length=length_rows,
    )


def made_up_groups(column, names):
    rows = [
        GroupRow(group=name, n=200 - 20 * place, is_reference=place == 0, smd=about(0.3 * place - 0.1, 0.12),
                 dsm=about(0.1 * place - 0.05, 0.1), qwk=about(0.77))
        for place, name in enumerate(names)
    ]  # fmt: skip
    tests = {
        name: {"r2": 0.004, "p": 0.0002, "p_adjusted": 0.0012} if name == "osd" else {"r2": 0.0, "p": 0.4, "p_adjusted": 1.0}
        for name in ("osa", "osd", "csd")
    }  # fmt: skip
    return GroupColumn(column=column, least_n=100, groups=rows, left_out={"(empty)": 7, "other": 12}, tests=tests)


def made_up_confidence(prompt_ids):
    shares = np.linspace(0.05, 1, 20)
    lifts = {"predicted error": 0.2, "confidence": 0.12, "random": 0.0, "oracle": 0.45}
    routes = [
        ReviewRoute(
            name=name,
            area=about(0.6 + lift / 2),
            points=[
                ReviewPoint(share_released=float(share), qwk=0.78 + 0.3 * lift * (1 - share) if share > 0.06 else None,
                            exact=min(1, 0.6 + lift * (1 - share)), adjacent=min(1, 0.97 + lift * (1 - share) / 8))
                for share in shares
            ],
        )
        for name, lift in lifts.items()
    ]  # fmt: skip
    targets = [
        ReviewTarget(measure=measure, target=target, share_read={"predicted error": 0.35, "confidence": 0.52, "random": None,
                                                                 "oracle": 0.12})
        for measure, target in (("exact", 0.7), ("adjacent", 0.98), ("qwk", 0.85))
    ]  # fmt: skip
    return Confidence(
        reliability=[
            ReliabilityBin(n=60, mean_confidence=0.15 + 0.17 * place, share_right=about(0.2 + 0.14 * place, 0.08))
            for place in range(5)
        ],
        ece=about(0.041, 0.02),
        brier=about(0.21, 0.02),
        log_loss=about(0.61, 0.03),
        sets=[
            SetCoverage(prompt_id=prompt_id, level=level, n=300, coverage=about(level - 0.006, 0.03), mean_steps=1.4,
                        mean_share=0.28)
            for prompt_id in ["all prompts", *prompt_ids] for level in (0.9, 0.95)
        ],
        routes=routes,
        targets=targets,
    )  # fmt: skip


def made_up_report(prompt_ids=("1", "2", LONG_NAME), groups=("girls", "boys", NASTY), labels=6) -> Report:
    """A report in which every section has something to say."""
    return Report(
        created="2026-11-26T03:00:00+00:00",
        subject=Subject(
            model="made-up/scorer", commit="0123456789abcdef0123456789abcdef01234567", data="made-up essays",
            data_sha256="0" * 64, split="test", n=300 * len(prompt_ids), seed=7,
            scales=dict.fromkeys(prompt_ids, f"1 to {labels}"),
        ),
        sentences=[
            "The scorer agrees with people about as well as people agree with each other: QWK 0.788, where two people have 0.752.",
            "48 % of the scores could be released without a second reading at an exact agreement of 70 %.",
            "One group and one prompt need a look: they stand below in red.",
        ],
        flags=[
            Flag(level="red", measure="SMD", where=f"writer = {NASTY}", value=0.5, threshold="at most 0.15 in size",
                 source="RSMTool 12, evaluation notebook"),
            Flag(level="amber", measure="QWK", where="prompt 2", value=0.693, threshold="at least 0.70",
                 source="Williamson, Xi and Breyer 2012"),
            Flag(level="green", measure="adjacent agreement", where="all prompts", value=0.981, threshold="at least 95 %",
                 source="RSMTool 12, evaluation notebook"),
            *(Flag(level="green", measure="QWK", where=f"prompt {prompt_id}", value=0.788, threshold="at least 0.70",
                   source="Williamson, Xi and Breyer 2012") for prompt_id in prompt_ids),
        ],
        overall=MEASURES,
        agreement=[made_up_agreement(prompt_id, labels, seed=place) for place, prompt_id in enumerate(prompt_ids)],
        raters=[
            RaterPair(prompt_id=prompt_id, first="rater1", second="rater2", n=300, qwk=about(0.752), exact=about(0.62),
                      adjacent=about(0.97, 0.01), pearson=about(0.76), smd=about(0.01))
            for prompt_id in prompt_ids
        ],
        traits=[
            TraitAgreement(trait="voice", prompt_id=prompt_id, n=120, qwk=about(0.655), exact=about(0.61), adjacent=about(0.94),
                           pearson=about(0.7), smd=about(0.02))
            for prompt_id in prompt_ids
        ],
        fairness=[made_up_groups("writer", groups), GroupColumn(column="region", least_n=100, groups=[], left_out={"north": 30},
                  tests={}, note="No group of region has 100 essays, so nothing was measured.")],
        confidence=made_up_confidence(prompt_ids),
        robustness=[
            AttackEffect(name="words shuffled", should="fall", what="The words of the essay stand in another order.", n=200,
                         mean_change=about(-0.8), share_risen=about(0.03, 0.02), share_advised=0.97),
            AttackEffect(name="text twice", should="not rise", what="The whole essay stands there twice.", n=200,
                         mean_change=about(0.12), share_risen=about(0.4, 0.06), share_advised=0.99),
            AttackEffect(name="typing errors", should="stay", what="Every twentieth word has a typing error.", n=200,
                         mean_change=about(-0.05), share_risen=about(0.2, 0.05), share_advised=None),
        ],
        advisories=[AdvisoryRow(name="Too Brief", rule="Fewer words than 0.5 % of the training essays have.", n=3, share=0.01)],
        drift=Drift(
            reference="made-up/scorer on the test split, 2026-05-02",
            rows=[
                DriftRow(what="predicted score", n_reference=300, n=300, mean_reference=0.52, mean=0.55, psi=0.03, ks=0.05,
                         p=0.41, level="green"),
                DriftRow(what="words", n_reference=300, n=300, mean_reference=212, mean=268.4, psi=0.31, ks=0.22, p=1e-6,
                         level="red"),
            ],
        ),
        limits=["These numbers are made up.", "Whether what an essay says is true was not measured."],
        packages={"trm-aes": "0.2.0", "torch": "2.13.0"},
        command=["trm-aes", "report", "--model", "made-up/scorer", "--data", "made-up essays"],
    )  # fmt: skip


def bare_report() -> Report:
    """A report of one essay of one prompt, of which nearly nothing can be measured."""
    agreement = PromptAgreement(
        prompt_id="1", n=1, measures={"exact": Estimate(value=1.0), "qwk": NONE, "smd": NONE}, labels=["3"], confusion=[[1]],
        scatter=[[3.0, 3.2]], by_level=[ErrorRow(label="3", n=1, mean_error=Estimate(value=0.2), rmse=Estimate(value=0.2))],
        by_length=[],
    )  # fmt: skip
    return Report(
        created="2026-11-26T03:00:00+00:00",
        subject=Subject(model="scorer", data="one.csv", data_sha256="0" * 64, split="test", n=1, scales={"1": "1 to 6"}, seed=0),
        sentences=["Of one essay nothing can be said."],
        flags=[],
        overall={"exact": Estimate(value=1.0), "qwk": NONE},
        agreement=[agreement],
    )  # fmt: skip
