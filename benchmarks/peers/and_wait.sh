# A loop of condor_submit over the jobs whose results are missing; then condor_wait, which follows the log.
for number in $(seq 0 $(($(cat n_jobs) - 1))); do
    [ -e "runs/$number" ] || echo "job $number is $(condor_submit -terse "number=$number" jobs.sub)"
done
stdbuf -oL condor_wait -status jobs.log
