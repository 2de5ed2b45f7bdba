#!/bin/bash
#SBATCH --job-name=sharpness-00000000-0007-0
#SBATCH --array=0-11%3
#SBATCH --output=logs/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=8192M
#SBATCH --time=2:30:00
#SBATCH --partition=main
#SBATCH --account=physics
#SBATCH --qos=long
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --constraint=avx512

# Slurm's notice of the time limit may come before the program can hear it.
trap 'early=--noticed' USR1
module load gcc
cd '/data/it'\''s "mine"/50 %/$HOME/launches/0007' || exit 1
runs=$(sed -n "$((${1:-0} + SLURM_ARRAY_TASK_ID + 1))p" tasks.txt)
# The signals of Slurm reach the program because it replaces this script.
trap '' USR1
exec '/opt/my programs/sharpness' sweep recipe.toml --store '/data/it'\''s "mine"/50 %/$HOME' --only "$runs" --in-launch 0007 --as-task "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" --threads "${SLURM_CPUS_ON_NODE:-1}" --memory "${SLURM_MEM_PER_NODE}MiB" --data-dir '/my data' $early
