#!/bin/bash
# A matrix as a Slurm array, without a queue: each task runs one part of it.
#
#   sbatch --array=1-16 slurm.sh standard
#   quantbench merge parts/standard-* --out standard      when all have ended
#
# A task that is stopped or requeued goes on where it was. All tasks need the same version of quantbench; with
# --engine auto their processors should have the same instruction sets, else take --engine portable.
#SBATCH --job-name=quantbench
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=quantbench-%A-%a.log
set -euo pipefail

matrix=${1:?the name of a matrix or a .yaml file}
shift
part=${SLURM_ARRAY_TASK_ID:?submit it with --array=1-N}
parts=${SLURM_ARRAY_TASK_MAX:?submit it with --array=1-N}
if [ "${SLURM_ARRAY_TASK_MIN:-1}" != 1 ]; then
  echo "the array must begin at 1: --array=1-N" >&2
  exit 2
fi
name=$(basename "$matrix" .yaml)

exec npx quantbench run "$matrix" --shard "$part/$parts" \
  --jobs "${SLURM_CPUS_PER_TASK:-1}" --out "parts/$name-$part-of-$parts" "$@"
