-- Which share of the flights of a carrier left on time, at most 15 minutes late, and how late were those that did not, in two weeks of March?
SELECT dep - dep % 604800000 AS week, carrier, count(*) AS flights, round(count(*) FILTER (WHERE dep_delay <= 15) * 1.0 / count(*), 3) AS share,
  round(avg(dep_delay) FILTER (WHERE dep_delay > 15), 1) AS delay
FROM flights WHERE dep >= 1362614400000 and dep < 1363824000000 GROUP BY 1, 2 ORDER BY 1, 2;
