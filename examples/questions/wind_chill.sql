-- How cold did it feel in the coldest wind of the year?
SELECT time AS at, origin, temp, wind_speed AS wind,
  round(35.74 + 0.6215 * temp - 35.75 * pow(wind_speed, 0.16) + 0.4275 * temp * pow(wind_speed, 0.16), 1) AS feels
FROM weather WHERE temp <= 15 AND wind_speed >= 18 ORDER BY i;
