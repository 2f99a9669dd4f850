from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NumberExperimentsParams(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NumberExperimentsReply(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class ExperimentsListParams(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExperimentsListReply(_message.Message):
    __slots__ = ("experiment",)
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    experiment: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, experiment: _Optional[_Iterable[str]] = ...) -> None: ...

class ExperimentNameParams(_message.Message):
    __slots__ = ("experiment_name",)
    EXPERIMENT_NAME_FIELD_NUMBER: _ClassVar[int]
    experiment_name: str
    def __init__(self, experiment_name: _Optional[str] = ...) -> None: ...

class ExperimentDeletedReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NewExperimentsReply(_message.Message):
    __slots__ = ("trial_number",)
    TRIAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    trial_number: int
    def __init__(self, trial_number: _Optional[int] = ...) -> None: ...

class ExperimentTrial(_message.Message):
    __slots__ = ("experiment_name", "trial")
    EXPERIMENT_NAME_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    experiment_name: str
    trial: int
    def __init__(self, experiment_name: _Optional[str] = ..., trial: _Optional[int] = ...) -> None: ...

class ExperimentTrialReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExperimentTrialResult(_message.Message):
    __slots__ = ("experiment_name", "trial", "result", "value_type", "value", "exact_value")
    class Result(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SUCCESS: _ClassVar[ExperimentTrialResult.Result]
        FAILURE: _ClassVar[ExperimentTrialResult.Result]
        PRUNE: _ClassVar[ExperimentTrialResult.Result]
    SUCCESS: ExperimentTrialResult.Result
    FAILURE: ExperimentTrialResult.Result
    PRUNE: ExperimentTrialResult.Result
    EXPERIMENT_NAME_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EXACT_VALUE_FIELD_NUMBER: _ClassVar[int]
    experiment_name: str
    trial: int
    result: ExperimentTrialResult.Result
    value_type: str
    value: float
    exact_value: float
    def __init__(self, experiment_name: _Optional[str] = ..., trial: _Optional[int] = ..., result: _Optional[_Union[ExperimentTrialResult.Result, str]] = ..., value_type: _Optional[str] = ..., value: _Optional[float] = ..., exact_value: _Optional[float] = ...) -> None: ...

class DoubleResult(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: float
    def __init__(self, value: _Optional[float] = ...) -> None: ...

class ExperimentDetails(_message.Message):
    __slots__ = ("experiment_name", "total_trials", "parallel_trials", "direction", "hpo_algo_impl", "experiment_id", "objective_function", "tuneables", "value_type", "slo_class", "started")
    class Tunable(_message.Message):
        __slots__ = ("value_type", "lower_bound", "name", "upper_bound", "step", "exact_lower_bound", "exact_upper_bound", "choices")
        VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
        LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
        STEP_FIELD_NUMBER: _ClassVar[int]
        EXACT_LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
        EXACT_UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
        CHOICES_FIELD_NUMBER: _ClassVar[int]
        value_type: str
        lower_bound: float
        name: str
        upper_bound: float
        step: float
        exact_lower_bound: float
        exact_upper_bound: float
        choices: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, value_type: _Optional[str] = ..., lower_bound: _Optional[float] = ..., name: _Optional[str] = ..., upper_bound: _Optional[float] = ..., step: _Optional[float] = ..., exact_lower_bound: _Optional[float] = ..., exact_upper_bound: _Optional[float] = ..., choices: _Optional[_Iterable[str]] = ...) -> None: ...
    EXPERIMENT_NAME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_TRIALS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_TRIALS_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    HPO_ALGO_IMPL_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FUNCTION_FIELD_NUMBER: _ClassVar[int]
    TUNEABLES_FIELD_NUMBER: _ClassVar[int]
    VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    SLO_CLASS_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    experiment_name: str
    total_trials: int
    parallel_trials: int
    direction: str
    hpo_algo_impl: str
    experiment_id: str
    objective_function: str
    tuneables: _containers.RepeatedCompositeFieldContainer[ExperimentDetails.Tunable]
    value_type: str
    slo_class: str
    started: bool
    def __init__(self, experiment_name: _Optional[str] = ..., total_trials: _Optional[int] = ..., parallel_trials: _Optional[int] = ..., direction: _Optional[str] = ..., hpo_algo_impl: _Optional[str] = ..., experiment_id: _Optional[str] = ..., objective_function: _Optional[str] = ..., tuneables: _Optional[_Iterable[_Union[ExperimentDetails.Tunable, _Mapping]]] = ..., value_type: _Optional[str] = ..., slo_class: _Optional[str] = ..., started: bool = ...) -> None: ...

class Int32Bounds(_message.Message):
    __slots__ = ("lower_bound", "upper_bound")
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    lower_bound: int
    upper_bound: int
    def __init__(self, lower_bound: _Optional[int] = ..., upper_bound: _Optional[int] = ...) -> None: ...

class DoubleBounds(_message.Message):
    __slots__ = ("lower_bound", "upper_bound")
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    lower_bound: float
    upper_bound: float
    def __init__(self, lower_bound: _Optional[float] = ..., upper_bound: _Optional[float] = ...) -> None: ...

class TunableConfig(_message.Message):
    __slots__ = ("name", "value", "value_type", "exact_value", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXACT_VALUE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    value_type: str
    exact_value: float
    text: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., value_type: _Optional[str] = ..., exact_value: _Optional[float] = ..., text: _Optional[str] = ...) -> None: ...

class TrialConfig(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: _containers.RepeatedCompositeFieldContainer[TunableConfig]
    def __init__(self, config: _Optional[_Iterable[_Union[TunableConfig, _Mapping]]] = ...) -> None: ...

class RecommendedConfigReply(_message.Message):
    __slots__ = ("experiment_name", "direction", "optimal_value", "tunables")
    class OptimalValue(_message.Message):
        __slots__ = ("objective_function", "value", "value_type", "exact_value")
        OBJECTIVE_FUNCTION_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
        EXACT_VALUE_FIELD_NUMBER: _ClassVar[int]
        objective_function: str
        value: float
        value_type: str
        exact_value: float
        def __init__(self, objective_function: _Optional[str] = ..., value: _Optional[float] = ..., value_type: _Optional[str] = ..., exact_value: _Optional[float] = ...) -> None: ...
    EXPERIMENT_NAME_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    OPTIMAL_VALUE_FIELD_NUMBER: _ClassVar[int]
    TUNABLES_FIELD_NUMBER: _ClassVar[int]
    experiment_name: str
    direction: str
    optimal_value: RecommendedConfigReply.OptimalValue
    tunables: _containers.RepeatedCompositeFieldContainer[TunableConfig]
    def __init__(self, experiment_name: _Optional[str] = ..., direction: _Optional[str] = ..., optimal_value: _Optional[_Union[RecommendedConfigReply.OptimalValue, _Mapping]] = ..., tunables: _Optional[_Iterable[_Union[TunableConfig, _Mapping]]] = ...) -> None: ...

class DoubleOptimum(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: float
    def __init__(self, value: _Optional[float] = ...) -> None: ...
