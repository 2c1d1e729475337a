#!/bin/bash
# nmoe-gates passes the options of the job on the command line of sbatch, so `#SBATCH` lines have no effect on them.
srun --nodes={{ nodes }} --ntasks={{ nodes }} --ntasks-per-node=1 --kill-on-bad-exit=1 --label {{ command }}
