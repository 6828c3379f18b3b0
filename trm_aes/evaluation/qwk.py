"""Quadratic weighted kappa as an `evaluate.Metric` that needs no Hub. Importing `evaluate` takes seconds."""

import datasets
import evaluate

from .agreement import quadratic_weighted_kappa


class QuadraticWeightedKappa(evaluate.Metric):
    """
    QWK for training scripts of one's own: wherever a metric of the `evaluate` library goes. Its `compute` takes `references`
    and `predictions` of one prompt, scores of its scale, with `min_score`, `max_score` and, where it is not 1, `score_step`,
    and returns `{"qwk": value}`, from -1 to 1 (see [`quadratic_weighted_kappa`]). Scores that are not on the scale are
    refused with a ValueError. Of labels, take the places in their list.

    Example, a stock `Trainer` on the essays of one prompt. `runs/data` is what `trm-aes build` wrote, `runs/model` a scorer
    of ours or any other model with one output, of which 0 is the lowest score and 1 the highest:

    ```python
    import datasets
    import numpy as np
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    import trm_aes
    from trm_aes.data.scales import scale_of_row
    from trm_aes.evaluation.qwk import QuadraticWeightedKappa
    from trm_aes.model.essay_tokens import EssayCollator

    model = AutoModelForSequenceClassification.from_pretrained("runs/model")
    tokenizer = AutoTokenizer.from_pretrained("runs/model")
    essays = datasets.load_from_disk("runs/data").filter(lambda essay: essay["prompt_id"] == "a", keep_in_memory=True)
    scale = scale_of_row(essays["train"][0])
    qwk = QuadraticWeightedKappa()


    def compute_metrics(prediction):
        predictions, references = (scale.round(scale.denormalize(np.ravel(values))) for values in prediction)
        return qwk.compute(
            references=references,
            predictions=predictions,
            min_score=scale.min_score,
            max_score=scale.max_score,
            score_step=scale.step,
        )


    trainer = Trainer(
        model,
        TrainingArguments("runs/own", num_train_epochs=1, eval_strategy="epoch", remove_unused_columns=False),
        train_dataset=essays["train"],
        eval_dataset=essays["validation"],
        data_collator=EssayCollator.for_model(tokenizer, model.config),
        compute_metrics=compute_metrics,
    )
    trainer.train()
    print(trainer.evaluate()["eval_qwk"])
    ```
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Cohen's kappa with quadratic weights over a prompt's whole score range.",
            citation="Cohen, J. (1968). Weighted kappa. Psychological Bulletin 70(4).",
            inputs_description="predictions, references: scores; min_score, max_score, score_step: the prompt's scale.",
            # As whole numbers, the library would cut 1.6 down to 1.
            features=datasets.Features({name: datasets.Value("float64") for name in ("predictions", "references")}),
        )

    def _compute(
        self, predictions, references, min_score: float, max_score: float, score_step: float = 1.0
    ) -> dict[str, float]:
        return {"qwk": quadratic_weighted_kappa(references, predictions, min_score, max_score, step=score_step)}
