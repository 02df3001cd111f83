-- Which aircraft left New York 30 times or more without a break of 30 days? A running group of an aircraft ends when it has not been seen for so long.
SELECT tailnum, count(*) AS flights, sum(distance) AS miles, min(dep) AS first, max(dep) AS last FROM (
  SELECT *, sum(start) OVER (PARTITION BY tailnum ORDER BY dep, i) AS run FROM (
    SELECT *, dep - lag(dep, 1, -1e15) OVER (PARTITION BY tailnum ORDER BY dep, i) >= 2592000000 AS start FROM flights WHERE tailnum IS NOT NULL))
GROUP BY tailnum, run HAVING count(*) >= 30 ORDER BY max(dep), tailnum;
