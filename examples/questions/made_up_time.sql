-- Which flights left over three quarters of an hour late and arrived not late at all?
SELECT dep AS at, carrier || flight AS flight, origin || '-' || dest AS route, dep_delay - arr_delay AS made_up
FROM flights WHERE dep_delay > 45 AND arr_delay <= 0 ORDER BY i;
