WITH marked AS (
  SELECT *, coalesce(max(sched_dep) OVER (ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) - 2 * 3600000 AS watermark,
    sched_dep - sched_dep % 3600000 AS hour
  FROM flights)
SELECT 'flights' AS topic, 0 AS partition, i AS offset, sched_dep AS event_time, watermark, hour AS window_start, hour + 3600000 AS window_end
FROM marked WHERE hour + 3600000 <= watermark AND sched_dep >= 1366329600000 AND sched_dep < 1366416000000 ORDER BY i;
