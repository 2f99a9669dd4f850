"""The configuration of a small Slurm cluster, with and without an accounting database."""

CONFIGURATION = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.socket,cred_expire=10
CredType=cred/munge
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdTimeout=60
KillWait=3
ReturnToService=2
JobRequeue=1
MinJobAge={min_job_age}
MaxArraySize={largest}
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=5
SlurmdParameters=config_overrides
MpiDefault=none
{accounting}
{nodes}
PartitionName=main Nodes=n[1-3] Default=YES MaxTime=INFINITE State=UP DefMemPerCPU=200
PartitionName=short Nodes=n[1-3] MaxTime=1 State=UP DefMemPerCPU=200
"""
WITHOUT = "JobCompType=jobcomp/filetxt\nJobCompLoc={folder}/log/jobcomp.log"
WITH = (
    "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=localhost\n"
    "AccountingStoragePort={port}\nAccountingStoragePass={folder}/munge/munge.socket"
)
CGROUPS = "CgroupPlugin={plugin}\nCgroupAutomount=no\nConstrainRAMSpace=yes\nConstrainCores=no\n"
DATABASE = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.socket
DbdHost=localhost
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StorageUser=slurm
StorageLoc=slurm_acct
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""
