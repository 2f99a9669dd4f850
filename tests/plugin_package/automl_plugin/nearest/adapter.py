"""One nearest neighbour on the columns of numbers, scaled; missing values are the median."""

import sklearn
from sklearn.impute import SimpleImputer
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def fit(train, problem, limits):
    numbers = [c for c in train.columns if c != problem.target and c not in problem.categorical]
    kind = KNeighborsRegressor if problem.type == "regression" else KNeighborsClassifier
    neighbours = kind(n_neighbors=problem.params.get("neighbours", 1))
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), neighbours)
    return numbers, model.fit(train[numbers].astype(float), train[problem.target])


def predict(model, frame, problem):
    numbers, pipeline = model
    rows = frame[numbers].astype(float)
    classes = None if problem.type == "regression" else list(pipeline.classes_)
    return {
        "predictions": pipeline.predict(rows),
        "probabilities": None if classes is None else pipeline.predict_proba(rows),
        "classes": classes,
    }


def describe(model):
    return {"models": 1, "leaderboard": None, "version": sklearn.__version__}
