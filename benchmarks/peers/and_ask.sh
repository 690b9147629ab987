# A loop of condor_submit over the jobs whose results are missing; then the queue is asked every ten seconds.
for number in $(seq 0 $(($(cat n_jobs) - 1))); do
    [ -e "runs/$number" ] || echo "job $number is $(condor_submit -terse "number=$number" jobs.sub)"
done | tee submitted
sed 's/.* //' submitted | sort >waiting
while [ -s waiting ]; do
    sleep 10
    condor_q -format '%d.' ClusterId -format '%d\n' ProcId | sort >queued
    comm -23 waiting queued | sed 's/$/ has left the queue/'
    comm -12 waiting queued >still && mv still waiting
done
