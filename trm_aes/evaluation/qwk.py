"""Quadratic weighted kappa as an `evaluate.Metric` that needs no Hub. Importing `evaluate` takes seconds."""

import datasets
import evaluate

from .agreement import quadratic_weighted_kappa


class QuadraticWeightedKappa(evaluate.Metric):
    """
    QWK for training scripts of one's own: wherever a metric of the `evaluate` library goes. Its `compute` takes whole
    `references` and `predictions` of one prompt and the range of its scores, and returns `{"qwk": value}`, from -1 to 1
    (see [`quadratic_weighted_kappa`]).

    Example, a stock `Trainer` on the essays of one prompt. `runs/data` is what `trm-aes build` wrote, `runs/model` a scorer
    of ours or any other model with one output, of which 0 is the lowest score and 1 the highest:

    ```python
    import datasets
    import numpy as np
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    import trm_aes
    from trm_aes.evaluation.qwk import QuadraticWeightedKappa
    from trm_aes.model.essay_tokens import EssayCollator
    from trm_aes.model.score_scale import round_scores

    model = AutoModelForSequenceClassification.from_pretrained("runs/model")
    tokenizer = AutoTokenizer.from_pretrained("runs/model")
    essays = datasets.load_from_disk("runs/data").filter(lambda essay: essay["prompt_id"] == "a", keep_in_memory=True)
    lowest, highest = essays["train"][0]["min_score"], essays["train"][0]["max_score"]
    qwk = QuadraticWeightedKappa()


    def compute_metrics(prediction):
        on_scale = [lowest + np.ravel(values).clip(0, 1) * (highest - lowest) for values in prediction]
        predictions, references = (round_scores(scores) for scores in on_scale)
        return qwk.compute(references=references, predictions=predictions, min_score=lowest, max_score=highest)


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
            inputs_description="predictions, references: whole scores; min_score, max_score: the prompt's range.",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
        )

    def _compute(self, predictions, references, min_score: int, max_score: int) -> dict[str, float]:
        return {"qwk": quadratic_weighted_kappa(references, predictions, min_score, max_score)}
