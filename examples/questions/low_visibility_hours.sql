-- In which weeks did an airport have six hours or more with a visibility below half a mile?
SELECT origin, count(*) AS hours, min(visib) AS least, time - time % 604800000 AS window_start, time - time % 604800000 + 604800000 AS window_end
FROM weather WHERE visib < 0.5 GROUP BY 4, 1 HAVING count(*) >= 6 ORDER BY 4, 1;
