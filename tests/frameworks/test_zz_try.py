import os, pytest
@pytest.mark.integration
@pytest.mark.parametrize("f", os.environ["FW"].split(","))
def test_h(f, run_tasks, hard_data):
    from benchmark.frameworks import get
    rt=float(os.environ.get("RT") or max(10, get(f).minimum_runtime))
    recs = run_tasks([f], ["hard-binary","hard-multiclass","hard-regression"], datasets=[hard_data], runtime=rt)
    for k,r in recs.items():
        print("\n##",k, r.status, r.cause, (r.message or "")[:500], {a: b and round(b,3) for a,b in (r.metrics or {}).items()}, "fit", r.fit_s, "models", r.models)
